// rtpgen: drives N media streams through a relay, both ways, 50 packets/s each, and measures loss and added latency.
//   gcc -O2 -Wall -o rtpgen rtpgen.c -lcrypto -lpthread
//   rtpgen STREAMS.txt [--secs 10] [--n N] [--pid PID]... [--warm 2] [--label TEXT]
// STREAMS.txt, one stream a line:  A_ip:port B_ip:port RELAY_A_ip:port RELAY_B_ip:port [keyA_tx keyA_rx keyB_tx keyB_rx]
//   A sends from A_ip:port to RELAY_A, the relay must send it on to B_ip:port; and back. A key is base64 of 30 octets
//   (AES_CM_128_HMAC_SHA1_80), "-" for plain RTP. tx is what we encrypt with, rx what the relay encrypts towards us with.
// (own SRTP on OpenSSL: Debian's libsrtp2 takes some 12 us a packet here and would make the generator the bottleneck)
// Each packet carries its send time; arrival is the kernel's receive stamp, so that this tool's own queue does not count.
// --pid: user+system CPU of that process (all threads) over the measured time, per relayed packet. One line of JSON.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#define PL 160
typedef struct {
    EVP_CIPHER_CTX *c;
    SHA_CTX in, ou;
    unsigned char salt[16];
    uint32_t roc;
    int32_t last;
} srtp;
typedef struct {
    int fd;
    struct sockaddr_in me, relay;
    srtp *tx, *rx;
    uint16_t seq;
    uint32_t ts, ssrc;
    uint64_t sent, got, peer;
    uint16_t maxseq;
} leg;
static leg *L;
static int NL, secs = 10, warm = 2;
static volatile int phase, stopall;
static uint32_t *lat;
static size_t nlat, caplat;
static uint64_t badauth, stray;
static uint64_t now(clockid_t c)
{
    struct timespec t;
    clock_gettime(c, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int b64(const char *s, unsigned char *o)
{
    int n = 0, v = 0, b = 0;
    for (; *s && *s != '='; s++) {
        const char *T = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        const char *p = strchr(T, *s);
        if (!p)
            break;
        v = v << 6 | (p - T);
        b += 6;
        if (b >= 8) {
            b -= 8;
            o[n++] = v >> b;
        }
    }
    return n;
}

static void aes1(const unsigned char *k, const unsigned char *iv, unsigned char *o, int n)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    unsigned char z[64] = { 0 };
    int l;
    EVP_EncryptInit_ex(c, EVP_aes_128_ctr(), NULL, k, iv);
    EVP_EncryptUpdate(c, o, &l, z, n);
    EVP_CIPHER_CTX_free(c);
}

static srtp *mk(const char *k, int out)
{                               // RFC 3711: session keys from the master key and salt by AES-CM, labels 0 (cipher), 1 (auth), 2 (salt)
    (void)out;
    if (!k || !strcmp(k, "-"))
        return NULL;
    unsigned char m[64], iv[16], ck[16], ak[64] = { 0 }, pad[64];
    if (b64(k, m) != 30) {
        fprintf(stderr, "bad key %s\n", k);
        exit(2);
    }
    srtp *s = calloc(1, sizeof *s);
    for (int l = 0; l < 3; l++) {
        memset(iv, 0, 16);
        memcpy(iv, m + 16, 14);
        iv[7] ^= l;
        if (l == 0)
            aes1(m, iv, ck, 16);
        else if (l == 1)
            aes1(m, iv, ak, 20);
        else
            aes1(m, iv, s->salt, 14);
    }
    s->c = EVP_CIPHER_CTX_new();
    memset(iv, 0, 16);
    EVP_EncryptInit_ex(s->c, EVP_aes_128_ctr(), NULL, ck, iv);
    for (int i = 0; i < 64; i++)
        pad[i] = ak[i] ^ 0x36;
    SHA1_Init(&s->in);
    SHA1_Update(&s->in, pad, 64);
    for (int i = 0; i < 64; i++)
        pad[i] = ak[i] ^ 0x5c;
    SHA1_Init(&s->ou);
    SHA1_Update(&s->ou, pad, 64);
    s->last = -1;
    return s;
}

static void tagof(srtp * s, unsigned char *p, int n, uint32_t roc, unsigned char *t)
{
    SHA_CTX h = s->in;
    unsigned char d[20], r[4] = { roc >> 24, roc >> 16, roc >> 8, roc };
    SHA1_Update(&h, p, n);
    SHA1_Update(&h, r, 4);
    SHA1_Final(d, &h);
    h = s->ou;
    SHA1_Update(&h, d, 20);
    SHA1_Final(t, &h);
}

static void ctr(srtp * s, unsigned char *p, int n, uint32_t roc)
{
    unsigned char iv[16] = { 0 };
    int l;
    memcpy(iv, s->salt, 14);
    for (int i = 0; i < 4; i++) {
        iv[4 + i] ^= p[8 + i];
        iv[8 + i] ^= (unsigned char)(roc >> (24 - 8 * i));
    } iv[12] ^= p[2];
    iv[13] ^= p[3];
    EVP_EncryptInit_ex(s->c, NULL, NULL, NULL, iv);
    EVP_EncryptUpdate(s->c, p + 12, &l, p + 12, n - 12);
}

static uint32_t guess(srtp * s, uint16_t q)
{
    if (s->last < 0) {
        s->last = q;
        return s->roc;
    }
    uint32_t v = s->roc;
    if (s->last < 32768) {
        if (q - s->last > 32768)
            v--;
    } else if (s->last - 32768 > q)
        v++;
    if (v == s->roc) {
        if (q > s->last)
            s->last = q;
    } else if (v == s->roc + 1) {
        s->roc = v;
        s->last = q;
    }
    return v;
}

static int protect(srtp * s, unsigned char *p, int *n)
{
    uint32_t v = guess(s, p[2] << 8 | p[3]);
    unsigned char t[20];
    ctr(s, p, *n, v);
    tagof(s, p, *n, v, t);
    memcpy(p + *n, t, 10);
    *n += 10;
    return 0;
}

static int unprotect(srtp * s, unsigned char *p, int *n)
{
    if (*n < 22)
        return 1;
    srtp save = *s;
    uint32_t v = guess(s, p[2] << 8 | p[3]);
    unsigned char t[20];
    tagof(s, p, *n - 10, v, t);
    if (memcmp(t, p + *n - 10, 10)) {
        s->last = save.last;
        s->roc = save.roc;
        return 1;
    }
    *n -= 10;
    ctr(s, p, *n, v);
    return 0;
}

static void addr(const char *s, struct sockaddr_in *a)
{
    char b[64];
    snprintf(b, 64, "%s", s);
    char *c = strrchr(b, ':');
    if (!c) {
        fprintf(stderr, "address %s\n", s);
        exit(2);
    }
    *c = 0;
    memset(a, 0, sizeof *a);
    a->sin_family = AF_INET;
    a->sin_addr.s_addr = inet_addr(b);
    a->sin_port = htons(atoi(c + 1));
}

static void *rx(void *x)
{
    int ep = epoll_create1(0);
    for (int i = 0; i < NL; i++) {
        struct epoll_event e = { EPOLLIN, {.u32 = i} };
        epoll_ctl(ep, EPOLL_CTL_ADD, L[i].fd, &e);
    }
    static char buf[32][2048], ctl[32][64];
    struct iovec io[32];
    struct mmsghdr m[32];
    for (int i = 0; i < 32; i++) {
        io[i].iov_base = buf[i];
        io[i].iov_len = 2048;
    }
    struct epoll_event ev[256];
    while (!stopall) {
        int n = epoll_wait(ep, ev, 256, 100);
        for (int k = 0; k < n; k++) {
            leg *l = &L[ev[k].data.u32];
            for (int i = 0; i < 32; i++) {
                memset(&m[i], 0, sizeof m[i]);
                m[i].msg_hdr.msg_iov = &io[i];
                m[i].msg_hdr.msg_iovlen = 1;
                m[i].msg_hdr.msg_control = ctl[i];
                m[i].msg_hdr.msg_controllen = 64;
            }
            int g = recvmmsg(l->fd, m, 32, MSG_DONTWAIT, NULL);
            for (int i = 0; i < g; i++) {
                int len = m[i].msg_len;
                unsigned char *p = (void *)buf[i];
                if (len < 12 || (p[0] & 0xc0) != 0x80 || (p[1] & 0x7f) != 0) {
                    stray++;
                    continue;
                }
                uint64_t at = 0;
                for (struct cmsghdr * c = CMSG_FIRSTHDR(&m[i].msg_hdr); c; c = CMSG_NXTHDR(&m[i].msg_hdr, c))
                    if (c->cmsg_type == SCM_TIMESTAMPNS) {
                        struct timespec t;
                        memcpy(&t, CMSG_DATA(c), sizeof t);
                        at = t.tv_sec * 1000000000ull + t.tv_nsec;
                    }
                if (l->rx && unprotect(l->rx, p, &len)) {
                    badauth++;
                    continue;
                }
                if (len != 12 + PL) {
                    stray++;
                    continue;
                }
                uint64_t t0;
                uint32_t ph;
                memcpy(&t0, p + 12, 8);
                memcpy(&ph, p + 20, 4);
                if (ph != 0x4c414231) {
                    if (ph != 0x4c414230)
                        stray++;
                    continue;
                }               // LAB1: measured, LAB0: warm-up
                l->got++;
                int64_t d = (int64_t) at - (int64_t) t0;
                if (d < 0)
                    d = 0;
                if (nlat < caplat)
                    lat[nlat++] = d > 4000000000ll ? 4000000000u : d;
            }
        }
    }
    return x;
}

static int cmp(const void *a, const void *b)
{
    uint32_t x = *(uint32_t *) a, y = *(uint32_t *) b;
    return x < y ? -1 : x > y;
}

static double cpu(int pid)
{
    char f[64], b[1024];
    snprintf(f, 64, "/proc/%d/stat", pid);
    FILE *h = fopen(f, "r");
    if (!h)
        return 0;
    size_t n = fread(b, 1, 1023, h);
    fclose(h);
    b[n] = 0;
    char *p = strrchr(b, ')');
    unsigned long u = 0, s = 0;
    sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &s);
    return (double)(u + s) / sysconf(_SC_CLK_TCK);
}

static long rss(int pid)
{
    char f[64];
    snprintf(f, 64, "/proc/%d/statm", pid);
    FILE *h = fopen(f, "r");
    long a = 0, r = 0;
    if (h) {
        if (fscanf(h, "%ld %ld", &a, &r) != 2)
            r = 0;
        fclose(h);
    }
    return r * 4;
}

int main(int c, char **v)
{
    int want = 1 << 30, pids[32], np = 0;
    const char *label = "";
    if (c < 2)
        return 2;
    for (int i = 2; i < c - 1; i += 2) {
        if (!strcmp(v[i], "--secs"))
            secs = atoi(v[i + 1]);
        else if (!strcmp(v[i], "--n"))
            want = atoi(v[i + 1]);
        else if (!strcmp(v[i], "--warm"))
            warm = atoi(v[i + 1]);
        else if (!strcmp(v[i], "--pid"))
            pids[np++] = atoi(v[i + 1]);
        else if (!strcmp(v[i], "--label"))
            label = v[i + 1];
    }
    struct rlimit rl = { 65000, 65000 };
    setrlimit(RLIMIT_NOFILE, &rl);
    FILE *f = fopen(v[1], "r");
    char ln[1024];
    L = calloc(40000, sizeof(leg));
    while (f && fgets(ln, sizeof ln, f) && NL / 2 < want) {
        char s[8][128];
        for (int i = 4; i < 8; i++)
            strcpy(s[i], "-");
        if (sscanf
            (ln, "%127s %127s %127s %127s %127s %127s %127s %127s", s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]) < 4)
            continue;
        for (int d = 0; d < 2; d++) {
            leg *l = &L[NL];
            addr(s[d], &l->me);
            addr(s[2 + d], &l->relay);
            l->tx = mk(s[4 + 2 * d], 1);
            l->rx = mk(s[5 + 2 * d], 0);
            l->ssrc = 0x10000 + NL;
            l->seq = rand();
            l->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
            int one = 1, rb = 1 << 20;
            setsockopt(l->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, 4);
            setsockopt(l->fd, SOL_SOCKET, SO_RCVBUF, &rb, 4);
            if (bind(l->fd, (void *)&l->me, sizeof l->me)) {
                perror(s[d]);
                return 2;
            }
            if (connect(l->fd, (void *)&l->relay, sizeof l->relay)) {
                perror("connect");
                return 2;
            }
            NL++;
        }
    }
    if (!NL) {
        fprintf(stderr, "no streams\n");
        return 2;
    }
    caplat = (size_t)NL *50 * (secs + 1);
    lat = malloc(caplat * 4);
    pthread_t t;
    pthread_create(&t, NULL, rx, NULL);
    uint64_t period = 20000000ull, t0 = now(CLOCK_MONOTONIC), ticks = (uint64_t) (warm + secs) * 50, late = 0, enobuf =
        0;
    double c0 = 0, c1 = 0;
    uint64_t m0 = 0, m1 = 0;
    unsigned char p[12 + PL + 32];
    for (uint64_t k = 0; k < ticks; k++) {
        if (k == (uint64_t) warm * 50) {
            phase = 1;
            for (int i = 0; i < np; i++)
                c0 += cpu(pids[i]);
            m0 = now(CLOCK_MONOTONIC);
        }
        for (int i = 0; i < NL; i++) {
            uint64_t due = t0 + k * period + period * i / NL;
            uint64_t n = now(CLOCK_MONOTONIC);
            if (n < due) {
                if (due - n > 60000) {
                    struct timespec ts = { due / 1000000000ull, due % 1000000000ull };
                    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
                }
            } else if (n - due > 5000000)
                late++;
            leg *l = &L[i];
            memset(p, 0xd5, 12 + PL);
            p[0] = 0x80;
            p[1] = 0;
            *(uint16_t *) (p + 2) = htons(l->seq++);
            *(uint32_t *) (p + 4) = htonl(l->ts);
            l->ts += 160;
            *(uint32_t *) (p + 8) = htonl(l->ssrc);
            uint32_t ph = phase ? 0x4c414231 : 0x4c414230;
            memcpy(p + 20, &ph, 4);
            int len = 12 + PL;
            uint64_t st = now(CLOCK_REALTIME);
            memcpy(p + 12, &st, 8);
            if (l->tx)
                protect(l->tx, p, &len);
            if (send(l->fd, p, len, 0) < 0) {
                if (errno != ECONNREFUSED)
                    enobuf++;
                else
                    send(l->fd, p, len, 0);
            }
            if (phase)
                l->sent++;
        }
    }
    m1 = now(CLOCK_MONOTONIC);
    for (int i = 0; i < np; i++)
        c1 += cpu(pids[i]);
    long mem = 0;
    for (int i = 0; i < np; i++)
        mem += rss(pids[i]);
    usleep(600000);
    stopall = 1;
    pthread_join(t, NULL);
    uint64_t S = 0, G = 0;
    int dead = 0;
    for (int i = 0; i < NL; i++) {
        S += L[i].sent;
        G += L[i].got;
        if (!L[i].got)
            dead++;
    }
    qsort(lat, nlat, 4, cmp);
    double w = (m1 - m0) / 1e9;
#define P(q) (nlat ? lat[(size_t)((nlat - 1) * q)] / 1000.0 : -1)
    printf
        ("{\"label\":\"%s\",\"streams\":%d,\"secs\":%.1f,\"sent\":%lu,\"got\":%lu,\"loss_pct\":%.4f,\"dead_legs\":%d,\"late_sends\":%lu,\"send_errors\":%lu,\"badauth\":%lu,\"stray\":%lu,\"us_p50\":%.1f,\"us_p99\":%.1f,\"us_p999\":%.1f,\"us_max\":%.1f",
         label, NL / 2, w, S, G, S ? 100.0 * (1 - (double)G / S) : 0, dead, late, enobuf, badauth, stray, P(.5), P(.99),
         P(.999), P(1.0));
    if (np)
        printf(",\"cpu_s\":%.2f,\"core_pct\":%.1f,\"us_cpu_per_packet\":%.2f,\"rss_kb\":%ld", c1 - c0,
               100 * (c1 - c0) / w, G ? 1e6 * (c1 - c0) / G : 0, mem);
    printf("}\n");
    return 0;
}
