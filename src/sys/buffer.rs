//! Memory that can be lent to the kernel.
//!
//! A request that waits in a stuck process cannot be taken back: the kernel may write into its
//! buffer at any time until this process ends. So a [`Buffer`] is owned, never borrowed, by
//! whoever may touch it: it moves into the ring with the request and comes back with the
//! completion. In between no Rust code can reach it. Every buffer keeps its arena alive; a ring
//! that is dropped while the kernel still holds buffers forgets them, and a forgotten buffer keeps
//! the arena for ever. Nothing is freed too early, and no rule has to be remembered.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;

use bumpalo::Bump;

/// The part of a buffer that one segment of a vectored read fills.
///
/// The kernel goes on to the next segment only when one was filled, and a read of smaps hands out
/// whole mappings up to one page. A segment smaller than a page less one mapping is always filled,
/// so one request returns the whole file (measured: 448,935 bytes at once; with segments of a
/// page, 3,797).
pub const SEGMENT_BYTES: usize = 2048;

/// An arena that hands out buffers. Cheap to clone; all clones share the memory.
#[derive(Clone, Default)]
pub struct BufferArena {
    bump: Rc<Bump>,
}

impl BufferArena {
    /// An arena without memory yet.
    pub fn new() -> Self {
        BufferArena::default()
    }

    /// A buffer of `len` zeroed bytes, to be filled by one plain read.
    pub fn buffer(&self, len: usize) -> Buffer {
        let bytes: &mut [u8] = self.bump.alloc_slice_fill_copy(len, 0);
        Buffer {
            start: NonNull::from(&mut *bytes).cast(),
            len,
            segments: None,
            _arena: Rc::clone(&self.bump),
        }
    }

    /// A buffer of `segments` times [`SEGMENT_BYTES`], to be filled by one vectored read.
    pub fn segmented_buffer(&self, segments: usize) -> Buffer {
        let mut buffer = self.buffer(segments * SEGMENT_BYTES);
        let start = buffer.start.as_ptr();
        let vectors = self.bump.alloc_slice_fill_with(segments, |n| libc::iovec {
            iov_base: start.wrapping_add(n * SEGMENT_BYTES).cast(),
            iov_len: SEGMENT_BYTES,
        });
        buffer.segments = Some(NonNull::from(vectors));
        buffer
    }
}

/// Memory of an arena with exactly one owner: Rust code, or the kernel.
pub struct Buffer {
    start: NonNull<u8>,
    len: usize,
    segments: Option<NonNull<[libc::iovec]>>,
    /// Keeps the memory; never used otherwise.
    _arena: Rc<Bump>,
}

impl Buffer {
    /// Where the kernel is to write.
    pub(super) fn as_kernel_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The segments of a vectored read, `None` for a plain buffer.
    pub(super) fn segments(&self) -> Option<NonNull<[libc::iovec]>> {
        self.segments
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: `start` and `len` are those of an initialised slice of the arena, which `_arena`
        // keeps; this buffer is its only owner, and while the kernel may write it, it stands
        // inside the ring, which never dereferences it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_buffer_keeps_the_arena() {
        let arena = BufferArena::new();
        let mut kept = arena.buffer(100);
        kept.fill(7);
        let weak = Rc::downgrade(&arena.bump);
        drop(arena);
        assert!(kept.iter().all(|byte| *byte == 7));
        assert!(weak.upgrade().is_some());
        drop(kept);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn segments_cover_the_buffer_in_order() {
        let buffer = BufferArena::new().segmented_buffer(3);
        let vectors = buffer.segments().expect("segmented");
        assert_eq!((vectors.len(), buffer.len()), (3, 3 * SEGMENT_BYTES));
    }
}
