//! What the benches count allocations with; a module of each of them.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Fails when a thousand rounds allocate.
pub fn assert_none<T>(what: &str, mut round: impl FnMut() -> T) {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..1000 {
        round();
    }
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "{what} allocates");
}
