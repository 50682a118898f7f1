//! The compressor: one for each thread, because a thousand sessions with one each would hold hundreds of megabytes.

use std::cell::RefCell;
use zstd::bulk::Compressor;
use zstd::zstd_safe::compress_bound;

const LEVEL: i32 = 1;

/// Room that is kept between segments, in bytes; a larger one is given back.
const KEPT: usize = 256 * 1024;

#[derive(Default)]
struct Press {
    compressor: Option<Compressor<'static>>,
    room: Vec<u8>,
}

thread_local! {
    /// Carries nothing from one segment to the next but memory.
    static PRESS: RefCell<Press> = RefCell::default();
}

/// Lends the bytes compressed; none where the library refuses, and then they are stored as they are.
pub(super) fn press<T>(bytes: &[u8], then: impl FnOnce(&[u8]) -> T) -> Option<T> {
    PRESS.with(|press| {
        let mut press = press.try_borrow_mut().ok()?;
        let Press { compressor, room } = &mut *press;
        let compressor = match compressor {
            Some(compressor) => compressor,
            None => compressor.insert(Compressor::new(LEVEL).ok()?),
        };
        if room.len() < compress_bound(bytes.len()) {
            room.resize(compress_bound(bytes.len()), 0);
        }
        let length = compressor.compress_to_buffer(bytes, room.as_mut_slice()).ok()?;
        let lent = room.get(..length).map(then);
        if room.len() > KEPT {
            *room = Vec::new();
        }
        lent
    })
}
