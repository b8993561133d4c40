//! Memory that is lent to the kernel.
//!
//! A request that waits in a stuck process cannot be cancelled: the kernel may write to its buffer
//! at any time until this process ends. So a [`Buffer`] is always owned, never borrowed. It moves
//! into the ring with the request and returns with the completion; in between, no other code can
//! reach it. Every buffer keeps its arena alive. A ring that is dropped while the kernel holds
//! buffers forgets them, and a forgotten buffer keeps the arena forever. So memory is never freed
//! too early, and there is no rule for callers to remember.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::rc::Rc;

use bumpalo::Bump;

/// The part of a buffer that one segment of a vectored read fills.
///
/// The kernel goes on to the next segment only after it has filled one, and a read of smaps returns
/// whole mappings up to one page. A segment that is smaller than a page by at least one mapping is
/// always filled, so one request returns the whole file (measured: 448,935 bytes at once; with
/// segments of a page, 3,797). Larger segments hold the lock less often. But none is so large that
/// the kernel walks a mapping whose text does not fit.
pub const SEGMENT_BYTES: usize = 3072;
/// The memory of a segment, with its place in the vector.
pub const SEGMENT_MEMORY: usize = SEGMENT_BYTES + size_of::<libc::iovec>();

/// Added to the limit of an arena: bumpalo rounds up to whole pages.
const ROUNDING_BYTES: usize = 4096;

/// An arena of buffers. Cheap to clone: all clones share the memory.
#[derive(Clone)]
pub struct BufferArena {
    bump: Rc<Bump>,
}

impl BufferArena {
    /// An arena with this much memory. A buffer that does not fit takes up to twice its size more,
    /// and a page.
    ///
    /// # Panics
    /// If memory is exhausted.
    pub fn with_room(bytes: usize) -> Self {
        BufferArena { bump: Rc::new(Bump::with_capacity(bytes)) }
    }

    /// Limits the growth of the arena for an allocation that does not fit. Without this, bumpalo
    /// doubles the arena; where `ulimit` leaves less, it tries half, a quarter and so on, and so
    /// takes nearly all memory that the rest of the run needs.
    fn limit_growth(&self, bytes: usize) {
        if self.bump.chunk_capacity() < bytes {
            let limit = self.bump.allocated_bytes() + 2 * bytes + ROUNDING_BYTES;
            self.bump.set_allocation_limit(Some(limit));
        }
    }

    /// A buffer of `room` bytes for a plain read. Its pages become resident when the kernel writes
    /// to them.
    ///
    /// # Panics
    /// If memory is exhausted, or `room` exceeds `isize::MAX`.
    pub fn buffer(&self, room: usize) -> Buffer {
        let layout = Layout::array::<u8>(room).expect("a buffer fits in memory");
        self.limit_growth(room);
        let start = self.bump.alloc_layout(layout);
        Buffer { start, room, filled: 0, segments: None, _arena: Rc::clone(&self.bump) }
    }

    /// A buffer of `segments` times [`SEGMENT_BYTES`] for a vectored read.
    ///
    /// # Panics
    /// If memory is exhausted.
    pub fn segmented_buffer(&self, segments: usize) -> Buffer {
        let mut buffer = self.buffer(segments * SEGMENT_BYTES);
        let start = buffer.start.as_ptr();
        self.limit_growth((segments + 1) * size_of::<libc::iovec>());
        let vectors = self.bump.alloc_slice_fill_with(segments, |n| libc::iovec {
            iov_base: start.wrapping_add(n * SEGMENT_BYTES).cast(),
            iov_len: SEGMENT_BYTES,
        });
        buffer.segments = Some(NonNull::from(vectors));
        buffer
    }
}

/// Memory of an arena with exactly one owner: Rust code or the kernel.
pub struct Buffer {
    start: NonNull<u8>,
    room: usize,
    /// The number of initialised bytes at the start.
    filled: usize,
    segments: Option<NonNull<[libc::iovec]>>,
    /// Keeps the memory alive.
    _arena: Rc<Bump>,
}

impl Buffer {
    /// The number of bytes that one read can write.
    pub fn room(&self) -> usize {
        self.room
    }

    /// The bytes of the last read.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `put` and the kernel (`set_filled`) initialise the first `filled` bytes, of the
        // `room` bytes that `buffer` allocated; `_arena` keeps them. The kernel does not write
        // now: a buffer that it may write is inside the ring, which never calls this function.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.filled) }
    }

    /// Writes bytes as a read would, as many as there is room for.
    pub fn put(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.room);
        // SAFETY: `buffer` allocated `room` bytes at `start`, at least `len`. `bytes` is another
        // allocation or borrowed from another buffer, since this one is borrowed mutably.
        unsafe { self.start.copy_from_nonoverlapping(NonNull::from(bytes).cast(), len) };
        self.filled = len;
    }

    /// Records the number of bytes that the kernel wrote.
    ///
    /// # Safety
    /// - The kernel has completed a read into this buffer, and wrote `len` bytes.
    pub(super) unsafe fn set_filled(&mut self, len: usize) {
        self.filled = len.min(self.room);
    }

    /// The address for the kernel to write to.
    pub(super) fn as_kernel_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The segments of a vectored read; `None` for a plain buffer.
    pub(super) fn segments(&self) -> Option<NonNull<[libc::iovec]>> {
        self.segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_buffer_keeps_the_arena() {
        let arena = BufferArena::with_room(0);
        let mut kept = arena.buffer(100);
        kept.put(&[7; 200]);
        let weak = Rc::downgrade(&arena.bump);
        drop(arena);
        assert_eq!(kept.bytes(), [7; 100]);
        assert!(weak.upgrade().is_some());
        drop(kept);
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn an_arena_does_not_double() {
        const ROOM: usize = 100_000;
        let arena = BufferArena::with_room(4 * ROOM);
        let buffers: Vec<Buffer> = (0..4).map(|_| arena.buffer(ROOM)).collect();
        let planned = arena.bump.allocated_bytes();
        assert!(planned < 5 * ROOM, "{planned} bytes for {} buffers", buffers.len());
        let more: Vec<Buffer> = (0..20).map(|_| arena.buffer(ROOM)).collect();
        let in_all = arena.bump.allocated_bytes() - planned;
        assert!(in_all < 22 * ROOM, "{in_all} bytes for {} buffers more", more.len());
    }

    #[test]
    fn segments_cover_the_buffer_in_order() {
        let buffer = BufferArena::with_room(0).segmented_buffer(3);
        let vectors = buffer.segments().expect("segmented");
        assert_eq!((vectors.len(), buffer.room()), (3, 3 * SEGMENT_BYTES));
    }
}
