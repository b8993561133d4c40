//! Memory that can be lent to the kernel.
//!
//! A request that waits in a stuck process cannot be taken back: the kernel may write into its
//! buffer at any time until this process ends. So a [`Buffer`] is owned, never borrowed, by
//! whoever may touch it: it moves into the ring with the request and comes back with the
//! completion. In between no Rust code can reach it. Every buffer keeps its arena alive; a ring
//! that is dropped while the kernel still holds buffers forgets them, and a forgotten buffer keeps
//! the arena for ever. Nothing is freed too early, and no rule has to be remembered.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::rc::Rc;

use bumpalo::Bump;

/// The part of a buffer that one segment of a vectored read fills.
///
/// The kernel goes on to the next segment only when one was filled, and a read of smaps hands out
/// whole mappings up to one page. A segment smaller than a page less one mapping is always filled,
/// so one request returns the whole file (measured: 448,935 bytes at once; with segments of a
/// page, 3,797). Each segment is one hold of the lock, so larger ones are better; and none is so
/// large that a mapping is walked for nothing, because its text did not fit any more.
pub const SEGMENT_BYTES: usize = 3072;

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

    /// A buffer with room for so many bytes, to be filled by one plain read.
    ///
    /// # Panics
    /// When memory is exhausted.
    pub fn buffer(&self, room: usize) -> Buffer {
        // Bytes, so no alignment can be wrong; never touched here, so no page is resident
        // before the kernel writes it.
        let layout = Layout::array::<u8>(room).unwrap_or(Layout::new::<()>());
        let start = self.bump.alloc_layout(layout);
        let room = layout.size();
        Buffer { start, room, filled: 0, segments: None, _arena: Rc::clone(&self.bump) }
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
    room: usize,
    /// So many bytes at the start are initialised.
    filled: usize,
    segments: Option<NonNull<[libc::iovec]>>,
    /// Keeps the memory; never used otherwise.
    _arena: Rc<Bump>,
}

impl Buffer {
    /// How many bytes one read can put here.
    pub fn room(&self) -> usize {
        self.room
    }

    /// What the last read put here.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `filled` bytes from `start` on were written, by the kernel (`set_filled`) or by
        // `put`; the arena keeps them; and a buffer that the kernel may write stands inside the
        // ring, which does not look at it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.filled) }
    }

    /// Puts bytes here, as a read would; as many as there is room for.
    pub fn put(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.room);
        // SAFETY: there is room for `len` bytes at `start`, owned by this buffer alone, so
        // `bytes` cannot overlap them.
        unsafe { self.start.copy_from_nonoverlapping(NonNull::from(bytes).cast(), len) };
        self.filled = len;
    }

    /// Takes note of what the kernel wrote.
    ///
    /// # Safety
    /// - The kernel has completed a read into this buffer, and wrote `len` bytes.
    pub(super) unsafe fn set_filled(&mut self, len: usize) {
        self.filled = len.min(self.room);
    }

    /// Where the kernel is to write.
    pub(super) fn as_kernel_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// The segments of a vectored read, `None` for a plain buffer.
    pub(super) fn segments(&self) -> Option<NonNull<[libc::iovec]>> {
        self.segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_buffer_keeps_the_arena() {
        let arena = BufferArena::new();
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
    fn segments_cover_the_buffer_in_order() {
        let buffer = BufferArena::new().segmented_buffer(3);
        let vectors = buffer.segments().expect("segmented");
        assert_eq!((vectors.len(), buffer.room()), (3, 3 * SEGMENT_BYTES));
    }
}
