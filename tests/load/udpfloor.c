// udpfloor STREAMS.txt: the least a userspace relay can do (epoll, recv, send; no parsing, no crypto), on the relay
// addresses of a stream file. Its CPU per packet is the floor that any relay on this machine is compared with.
//   gcc -O2 -o udpfloor udpfloor.c      udpfloor --make N OUT.txt writes such a file      --connected: connect() the sockets
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
static void addr(const char *s, struct sockaddr_in *a)
{
    char b[64];
    snprintf(b, 64, "%s", s);
    char *c = strrchr(b, ':');
    *c = 0;
    memset(a, 0, sizeof *a);
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = inet_addr(b);
    a->sin_port = htons(atoi(c + 1));
}

int main(int c, char **v)
{
    if (c == 4 && !strcmp(v[1], "--make")) {
        FILE *f = fopen(v[3], "w");
        for (int i = 0; i < atoi(v[2]); i++)
            fprintf(f, "127.0.1.1:%d 127.0.1.2:%d 127.0.1.9:%d 127.0.1.9:%d - - - -\n", 10000 + 2 * i, 10000 + 2 * i,
                    20000 + 2 * i, 20001 + 2 * i);
        return fclose(f);
    }
    struct rlimit rl = { 65000, 65000 };
    setrlimit(RLIMIT_NOFILE, &rl);
    int conn = c > 2;
    FILE *f = fopen(v[1], "r");
    char ln[512], s[4][64];
    static int fd[40000], to[40000];
    static struct sockaddr_in dst[40000];
    int n = 0, ep = epoll_create1(0);
    while (fgets(ln, 512, f) && sscanf(ln, "%63s %63s %63s %63s", s[0], s[1], s[2], s[3]) == 4) {
        for (int d = 0; d < 2; d++) {
            struct sockaddr_in me;
            addr(s[2 + d], &me);
            fd[n] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
            if (bind(fd[n], (void *)&me, sizeof me)) {
                perror(s[2 + d]);
                return 1;
            }
            addr(s[1 - d], &dst[n]);
            to[n] = n ^ 1;
            if (conn) {
                struct sockaddr_in p;
                addr(s[d], &p);
                connect(fd[n], (void *)&p, sizeof p);
            }
            struct epoll_event e = { EPOLLIN, {.u32 = n} };
            epoll_ctl(ep, EPOLL_CTL_ADD, fd[n], &e);
            n++;
    }}
    struct epoll_event ev[64];
    char b[2048];
    puts("ready");
    fflush(stdout);
    for (;;) {
        int k = epoll_wait(ep, ev, 64, -1);
        for (int i = 0; i < k; i++) {
            int x = ev[i].data.u32, l;
            while ((l = recv(fd[x], b, 2048, 0)) > 0) {
                if (conn)
                    send(fd[to[x]], b, l, 0);
                else
                    sendto(fd[to[x]], b, l, 0, (void *)&dst[x], sizeof dst[x]);
                if (l < 0)
                    break;
                if (1)
                    break;
            }
        }
    }
}
