//! Frames of the file: `u32 length of the body | u8 kind | u32 sequence | body`, numbers in network order.

/// Bytes before a body.
pub(crate) const HEAD: usize = 9;

/// Longest body, in bytes: the largest segment and what sealing adds.
pub(crate) const MAX_BODY: usize = crate::segment::MAX_EVENTS + 64;

/// The frame that holds the header.
pub(crate) const HEADER: u8 = 1;
/// A segment with more to come.
pub(crate) const DATA: u8 = 2;
/// The last segment of a recording that ended in good order.
pub(crate) const FINAL: u8 = 3;
/// A record that recovery appended.
pub(crate) const TRUNCATED: u8 = 4;

/// One frame, borrowed from the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) seq: u32,
    pub(crate) body: &'a [u8],
    /// Head and body, as the chain hashes them.
    pub(crate) bytes: &'a [u8],
}

/// Why no frame could be taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum BadFrame {
    /// The bytes end inside it.
    Torn,
    /// It says to be longer than any frame may be.
    TooLong,
}

/// Takes the first frame off `bytes` and gives the rest.
pub(crate) fn take(bytes: &[u8]) -> Result<(Frame<'_>, &[u8]), BadFrame> {
    let (head, after) = bytes.split_first_chunk::<HEAD>().ok_or(BadFrame::Torn)?;
    let [l0, l1, l2, l3, kind, s0, s1, s2, s3] = *head;
    let length = usize::try_from(u32::from_be_bytes([l0, l1, l2, l3])).map_err(|_| BadFrame::TooLong)?;
    if length > MAX_BODY {
        return Err(BadFrame::TooLong);
    }
    let (body, rest) = after.split_at_checked(length).ok_or(BadFrame::Torn)?;
    let whole = bytes.get(..HEAD + length).ok_or(BadFrame::Torn)?;
    Ok((Frame { kind, seq: u32::from_be_bytes([s0, s1, s2, s3]), body, bytes: whole }, rest))
}

/// The head of a frame whose body has `length` bytes; none where that is too long.
pub(crate) fn head(length: usize, kind: u8, seq: u32) -> Option<[u8; HEAD]> {
    if length > MAX_BODY {
        return None;
    }
    let [l0, l1, l2, l3] = u32::try_from(length).ok()?.to_be_bytes();
    let [s0, s1, s2, s3] = seq.to_be_bytes();
    Some([l0, l1, l2, l3, kind, s0, s1, s2, s3])
}

/// A whole frame; none where the body is too long.
pub(crate) fn put(kind: u8, seq: u32, body: &[u8]) -> Option<Vec<u8>> {
    Some([&head(body.len(), kind, seq)?, body].concat())
}
