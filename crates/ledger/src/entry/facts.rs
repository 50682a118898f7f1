//! Facts as a CBOR map whose keys stand in the order of their encoding.

use minicbor::decode::Error as BadRead;
use minicbor::encode::Error as BadWrite;
use minicbor::encode::Write;
use minicbor::{Decoder, Encoder};
use std::collections::BTreeMap;

type Facts = BTreeMap<String, String>;

pub(super) fn encode<C, W: Write>(facts: &Facts, e: &mut Encoder<W>, _: &mut C) -> Result<(), BadWrite<W::Error>> {
    e.map(u64::try_from(facts.len()).map_err(BadWrite::custom)?)?;
    // The length is encoded before the text, so that a shorter key comes first; the map's own order breaks ties.
    let mut sorted: Vec<_> = facts.iter().collect();
    sorted.sort_by_key(|(key, _)| key.len());
    for (key, value) in sorted {
        e.str(key)?.str(value)?;
    }
    Ok(())
}

pub(super) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Facts, BadRead> {
    let at = d.position();
    let count = d.map()?.ok_or_else(|| BadRead::message("facts have no length").at(at))?;
    let mut facts = Facts::new();
    for _ in 0..count {
        let (key, value) = (d.str()?, d.str()?);
        if facts.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(BadRead::message("a fact is there twice").at(at));
        }
    }
    Ok(facts)
}
