//! Patterns of rules against words, where a word may itself have parts that nobody knows yet.

/// How letters compare.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sense {
    /// As they are.
    Exact,
    /// Without regard to upper and lower case.
    Loose,
}

/// Whether something is so.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Sure {
    /// It is not.
    #[default]
    No,
    /// It may be.
    Maybe,
    /// It is.
    Yes,
}

impl Sure {
    /// Both are so.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// One of them is so.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.max(other)
    }
}

impl From<bool> for Sure {
    fn from(so: bool) -> Self {
        if so { Self::Yes } else { Self::No }
    }
}

/// One place of a word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// This character.
    Char(char),
    /// Some character.
    One,
    /// Any characters, or none.
    Any,
    /// The same, and perhaps the ends of words among them.
    Several,
}

/// Whether one of the patterns, split by `|`, is the whole text.
#[must_use]
pub fn alternatives(patterns: &str, text: &str, sense: Sense) -> bool {
    let places: Vec<Place> = text.chars().map(Place::Char).collect();
    patterns.split('|').any(|pattern| word(pattern, &places, sense) == Sure::Yes)
}

/// Whether a pattern is the whole of a word that may have unknown places.
#[must_use]
pub fn word(pattern: &str, places: &[Place], sense: Sense) -> Sure {
    let pattern: Vec<Place> = pattern
        .chars()
        .map(|c| match c {
            '*' => Place::Any,
            '?' => Place::One,
            c => Place::Char(c),
        })
        .collect();
    if !meet(&pattern, places, sense) {
        return Sure::No;
    }
    // A pattern of stars alone takes every word, known or not.
    let all = pattern.iter().all(|place| *place == Place::Any) && !pattern.is_empty();
    let known = places.iter().all(|place| matches!(place, Place::Char(_)));
    if all || known { Sure::Yes } else { Sure::Maybe }
}

/// Whether some text fits both.
fn meet(a: &[Place], b: &[Place], sense: Sense) -> bool {
    // reach[j]: the first i places of `a` and the first j of `b` can be one text.
    let mut reach = vec![false; b.len().saturating_add(1)];
    if let Some(first) = reach.first_mut() {
        *first = true;
    }
    spread(&mut reach, b);
    for place in a {
        let mut next = vec![false; reach.len()];
        if *place == Place::Any {
            // It takes nothing, or any places that follow.
            let mut on = false;
            for (to, from) in next.iter_mut().zip(&reach) {
                on |= *from;
                *to = on;
            }
        } else {
            for (j, other) in b.iter().enumerate() {
                let from = reach.get(j).copied().unwrap_or(false);
                let takes = match (place, other) {
                    (_, Place::Any | Place::Several) => {
                        // The star takes this one place and may take more.
                        if from && let Some(to) = next.get_mut(j) {
                            *to = true;
                        }
                        from
                    }
                    (Place::Char(x), Place::Char(y)) => from && same(*x, *y, sense),
                    _ => from,
                };
                if takes && let Some(to) = next.get_mut(j.saturating_add(1)) {
                    *to = true;
                }
            }
            spread(&mut next, b);
        }
        reach = next;
    }
    reach.last().copied().unwrap_or(false)
}

/// A star of `b` may take nothing.
fn spread(reach: &mut [bool], b: &[Place]) {
    let mut on = false;
    for (j, to) in reach.iter_mut().enumerate() {
        on = *to || (on && j > 0 && matches!(b.get(j.saturating_sub(1)), Some(Place::Any | Place::Several)));
        *to = on;
    }
}

fn same(x: char, y: char, sense: Sense) -> bool {
    x == y || (sense == Sense::Loose && x.to_lowercase().eq(y.to_lowercase()))
}

#[cfg(test)]
mod tests;
