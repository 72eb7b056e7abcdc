//! Large pages for large allocations.
//!
//! A volume or a mesh of a gibibyte is 262,144 pages of 4 KiB; the system hands each out, zeroed, at the first touch, one fault at a
//! time, and that takes longer than writing what goes into them. Linux gives pages of 2 MiB to who asks for them (`madvise`). Programs
//! ask by making [`LargePages`] their allocator; elsewhere, and where the system declines, nothing changes but the time.

use std::alloc::{GlobalAlloc, Layout, System};

/// The allocator of the system, asking for large pages where an allocation has room for several.
pub struct LargePages;

/// Below this an allocation holds too few large pages to be worth a call to the system.
const LARGE: usize = 4 << 20;

// SAFETY: every call goes to the system's allocator as it came; advice about pages changes neither places nor contents.
unsafe impl GlobalAlloc for LargePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        advised(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        advised(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        advised(unsafe { System.realloc(at, layout, bytes) }, bytes)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }
}

#[inline]
fn advised(at: *mut u8, bytes: usize) -> *mut u8 {
    if bytes >= LARGE && !at.is_null() {
        advise(at, bytes);
    }
    at
}

#[cfg(target_os = "linux")]
#[cold]
fn advise(at: *mut u8, bytes: usize) {
    /// A multiple of every page size that Linux has on the machines in use.
    const PAGE: usize = 64 << 10;
    let first = at.addr().next_multiple_of(PAGE);
    let end = (at.addr() + bytes) / PAGE * PAGE;
    // SAFETY: whole pages within the allocation; the advice leaves what they hold. An error means small pages.
    unsafe { libc::madvise(at.with_addr(first).cast(), end - first, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn advise(_: *mut u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_keeps_what_it_holds_while_it_grows_and_shrinks() {
        let layout = |bytes| Layout::from_size_align(bytes, 8).expect("a power of two");
        let held = |at: *mut u8, bytes: usize| unsafe { std::slice::from_raw_parts_mut(at, bytes) };
        let at = unsafe { LargePages.alloc_zeroed(layout(2 * LARGE + 12_345)) };
        assert!(held(at, 2 * LARGE + 12_345).iter().all(|b| *b == 0));
        held(at, 2 * LARGE).fill(7);
        let at = unsafe { LargePages.realloc(at, layout(2 * LARGE + 12_345), 5 * LARGE) };
        let at = unsafe { LargePages.realloc(at, layout(5 * LARGE), LARGE) };
        assert!(held(at, LARGE).iter().all(|b| *b == 7));
        unsafe { LargePages.dealloc(at, layout(LARGE)) };
    }
}
