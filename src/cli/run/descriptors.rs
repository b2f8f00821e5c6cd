//! The limit of open files: every leg of a call takes two.

/// Raises the soft limit to the hard one; shells and containers often set the soft one to 1024, for the sake of programs
/// that use `select`.
pub fn raise_limit() {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel reads and writes `limit`, which outlives both calls.
    let raised = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0
        }
    };
    if !raised {
        tracing::warn!("the limit of open files stays as it is; each call needs four");
    }
}
