//! Passwords that a target accepts: rules, the caps of platforms, and a generator without bias.

use sallyport_model::{Env, Kind, Secret};
use zeroize::Zeroizing;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGIT: &str = "0123456789";

/// Symbols that no shell, URI, connection string or terminal gives a meaning of its own.
const SYMBOL: &str = "-_.,:=+^~";

/// Every printable ASCII character that is neither letter nor digit: what may be a symbol at all.
const ALL_SYMBOLS: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// Shortest password that is generated; what cannot take that many gets a key or a token instead.
pub const MIN_LENGTH: usize = 12;
/// Longest.
pub const MAX_LENGTH: usize = 256;

/// Most characters that a platform is given, by the name of the platform.
///
/// | platform | cap | why |
/// |---|---|---|
/// | `linux` | 64 | `chpasswd` and PAM take 200 and more, but old `crypt` schemes read 72 bytes |
/// | `postgres` | 64 | SCRAM has no bound; clients and connection strings do |
/// | `mysql` | 32 | replication accounts (`CHANGE REPLICATION SOURCE`) take 32 |
/// | `active_directory` | 60 | 127 by the web of tools, 256 by the directory; 60 passes every one |
/// | `windows` | 60 | as above |
/// | `cisco` | 25 | `enable secret` and `username ... secret` take 25 in IOS |
/// | `vnc` | 8 | below [`MIN_LENGTH`], so refused |
pub const CAPS: [(&str, usize); 7] = [
    ("active_directory", 60),
    ("cisco", 25),
    ("linux", 64),
    ("mysql", 32),
    ("postgres", 64),
    ("vnc", 8),
    ("windows", 60),
];

/// Rules that no password can meet, or only a weak one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RulesError {
    /// A class is demanded of which no character is left.
    #[error("no {0} is allowed, yet at least one is demanded: lower the demand or allow one")]
    EmptyClass(&'static str),
    /// A symbol that is a letter, a digit, a space or not ASCII.
    #[error("`{0}` cannot be a symbol: list printable ASCII characters other than letters and digits")]
    NoSymbol(char),
    /// Too long to be sensible, or longer than the cap.
    #[error("the length is {length}, but at most {most} are taken here")]
    TooLong {
        /// The length asked for.
        length: usize,
        /// The most that is taken.
        most: usize,
    },
    /// Too short to be safe.
    #[error("the length is {0}, but a generated password has {MIN_LENGTH} characters at least")]
    TooShort(usize),
    /// The minima do not fit.
    #[error("the classes demand {demanded} characters, but the length is {length}")]
    Unfit {
        /// Sum of the minima.
        demanded: usize,
        /// The length asked for.
        length: usize,
    },
}

impl RulesError {
    /// Sort of failure.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        Kind::Usage
    }
}

/// What the first character must be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum First {
    /// Anything.
    Any,
    /// A letter, for systems that read a leading symbol or digit as something else.
    Letter,
}

/// Least number of characters per class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Minima {
    /// `a` to `z`.
    pub lower: usize,
    /// `A` to `Z`.
    pub upper: usize,
    /// `0` to `9`.
    pub digit: usize,
    /// Of the allowed symbols.
    pub symbol: usize,
}

/// What a password must look like.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rules {
    /// Characters.
    pub length: usize,
    /// Most characters that the target takes.
    pub max_length: usize,
    /// Least number per class.
    pub min: Minima,
    /// Symbols that may be used.
    pub symbols: String,
    /// Characters of any class that may not.
    pub forbidden: String,
    /// What comes first.
    pub first: First,
}

impl Rules {
    /// 32 characters of all four classes, a letter first.
    #[must_use]
    pub fn house() -> Self {
        Self {
            length: 32,
            max_length: MAX_LENGTH,
            min: Minima { lower: 1, upper: 1, digit: 1, symbol: 1 },
            symbols: SYMBOL.to_owned(),
            forbidden: String::new(),
            first: First::Letter,
        }
    }

    /// The house rules within the cap of a platform; an unknown platform has no cap.
    #[must_use]
    pub fn platform(name: &str) -> Self {
        let cap = CAPS.iter().find(|(platform, _)| *platform == name).map_or(MAX_LENGTH, |(_, cap)| *cap);
        let house = Self::house();
        Self { length: house.length.min(cap), max_length: cap, ..house }
    }
}

struct Class {
    name: &'static str,
    characters: Vec<u8>,
    min: usize,
}

/// A password that meets the rules. Every draw is uniform over its alphabet (rejection sampling,
/// no modulo): first what each class demands, then any class, then a uniform shuffle.
///
/// # Errors
/// When no password, or only a weak one, can meet the rules.
pub fn generate(env: &Env, rules: &Rules) -> Result<Secret<String>, RulesError> {
    let classes = classes(rules)?;
    let any: Vec<u8> = classes.iter().flat_map(|class| class.characters.iter().copied()).collect();
    let mut bytes = Zeroizing::new(Vec::with_capacity(rules.length));
    for class in &classes {
        for _ in 0..class.min {
            bytes.push(pick(env, &class.characters).ok_or(RulesError::EmptyClass(class.name))?);
        }
    }
    while bytes.len() < rules.length {
        bytes.push(pick(env, &any).ok_or(RulesError::EmptyClass("character"))?);
    }
    for end in (1..bytes.len()).rev() {
        bytes.swap(end, below(env, end + 1));
    }
    if rules.first == First::Letter {
        let letters: Vec<usize> =
            bytes.iter().enumerate().filter(|(_, b)| b.is_ascii_alphabetic()).map(|(at, _)| at).collect();
        let at = letters.get(below(env, letters.len())).ok_or(RulesError::EmptyClass("letter"))?;
        bytes.swap(0, *at);
    }
    let mut text = String::with_capacity(bytes.len());
    text.extend(bytes.iter().copied().map(char::from));
    Ok(Secret::new(text))
}

fn classes(rules: &Rules) -> Result<[Class; 4], RulesError> {
    if let Some(bad) = rules.symbols.chars().find(|c| !ALL_SYMBOLS.contains(*c)) {
        return Err(RulesError::NoSymbol(bad));
    }
    let most = rules.max_length.min(MAX_LENGTH);
    if rules.length > most {
        return Err(RulesError::TooLong { length: rules.length, most });
    }
    if rules.length < MIN_LENGTH {
        return Err(RulesError::TooShort(rules.length));
    }
    let min = rules.min;
    let demanded = [min.lower, min.upper, min.digit, min.symbol].into_iter().fold(0, usize::saturating_add);
    if demanded > rules.length {
        return Err(RulesError::Unfit { demanded, length: rules.length });
    }
    if rules.first == First::Letter && min.lower == 0 && min.upper == 0 {
        return Err(RulesError::EmptyClass("letter to come first"));
    }
    let class = |name, from: &str, min| {
        let mut characters: Vec<u8> = from.bytes().filter(|b| !rules.forbidden.as_bytes().contains(b)).collect();
        characters.sort_unstable();
        characters.dedup();
        if min > 0 && characters.is_empty() {
            Err(RulesError::EmptyClass(name))
        } else {
            Ok(Class { name, characters, min })
        }
    };
    Ok([
        class("lower-case letter", LOWER, min.lower)?,
        class("upper-case letter", UPPER, min.upper)?,
        class("digit", DIGIT, min.digit)?,
        class("symbol", &rules.symbols, min.symbol)?,
    ])
}

fn pick(env: &Env, from: &[u8]) -> Option<u8> {
    from.get(below(env, from.len())).copied()
}

/// A uniform number below `bound` (at most 256, as every bound here is); 0 for a bound of 0.
fn below(env: &Env, bound: usize) -> usize {
    if bound < 2 {
        return 0;
    }
    // The largest multiple of `bound` that bytes reach: what lies beyond is drawn again.
    let fair = 256 - 256 % bound;
    loop {
        let [byte] = env.random::<1>();
        if usize::from(byte) < fair {
            return usize::from(byte) % bound;
        }
    }
}

#[cfg(test)]
mod tests;
