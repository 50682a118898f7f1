//! What small programs write whose words and input are known: how a text hides is often in one of them.

use super::Word;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest output that is followed.
const LONGEST: usize = 64 << 10;

/// What a program writes, where that is known.
pub(super) fn of(words: &[Word], fed: Option<&str>) -> Option<String> {
    let words: Vec<String> = words.iter().map(Word::text).collect::<Option<_>>()?;
    let (program, rest) = words.split_first()?;
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let operands: Vec<&str> = rest.iter().copied().filter(|word| !word.starts_with('-') || *word == "-").collect();
    let stdin = operands.is_empty() || operands == ["-"];
    let has = |names: &[&str]| rest.iter().any(|word| names.contains(word));
    let written = match program.rsplit('/').next()? {
        "echo" => echo(&rest)?,
        "printf" => printf(&rest)?,
        "cat" if rest.is_empty() || rest == ["-"] => fed?.to_owned(),
        "tee" if rest.is_empty() || rest == ["-a"] => fed?.to_owned(),
        "base64" | "base32" if !stdin => return None,
        "base64" if has(&["-d", "-D", "--decode", "-di"]) => decode64(fed?)?,
        "base64" => STANDARD.encode(fed?),
        "openssl"
            if has(&["-d"])
                && has(&["base64", "-base64", "-a"])
                && rest.iter().all(|word| ["enc", "base64", "-base64", "-a", "-A", "-d"].contains(word)) =>
        {
            decode64(fed?)?
        }
        "xxd" if xxd(&rest) => hexadecimal(fed?)?,
        "rev" if rest.is_empty() => {
            let back = |line: &str| line.chars().rev().collect::<String>();
            fed?.split('\n').map(back).collect::<Vec<_>>().join("\n")
        }
        "tr" => translate(&rest, fed?)?,
        _ => return None,
    };
    (written.len() <= LONGEST && !written.contains('\0')).then_some(written)
}

/// The character after a backslash, as C and the shell mean it.
pub(super) fn escaped(c: char) -> Option<char> {
    Some(match c {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'e' | 'E' => '\u{1b}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' | '\'' | '"' | '?' => c,
        _ => return None,
    })
}

/// `xxd -r -p`, in any bundle and nothing else.
fn xxd(words: &[&str]) -> bool {
    let all = words.concat();
    all.contains('r')
        && all.contains('p')
        && words.iter().all(|word| ["-r", "-p", "-rp", "-pr", "-ps", "-"].contains(word))
}

/// What shells agree on: some take backslashes and `-e` for something of their own, some write them.
fn echo(words: &[&str]) -> Option<String> {
    let option = |word: &&&str| {
        word.len() > 1 && word.strip_prefix('-').is_some_and(|flags| flags.chars().all(|c| "neE".contains(c)))
    };
    let options = words.iter().take_while(option).count();
    let text = words.get(options..).unwrap_or_default().join(" ");
    let plain = words.iter().take(options).all(|word| *word == "-n") && !text.contains('\\');
    let end = if options == 0 { "\n" } else { "" };
    (plain && options <= 1).then(|| text + end)
}

/// `printf format words`: `%s`, `%b`, `%c`, `%d` and escapes; anything else is not followed.
fn printf(words: &[&str]) -> Option<String> {
    let (format, words) = words.split_first()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || " /_.-%".contains(c);
    let format = Some(escapes_of(format)).filter(|text| {
        // Not every shell knows all of these.
        let odd = ["\\x", "\\u", "\\U", "\\0", "\\c", "\\e"].iter().any(|escape| format.contains(escape));
        !format.starts_with('-') && (!odd || text.chars().all(plain))
    })?;
    let mut words = words.iter();
    let mut text = String::new();
    loop {
        let before = words.len();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            match chars.next()? {
                '%' => text.push('%'),
                's' => text.push_str(words.next().unwrap_or(&"")),
                'd' | 'i' => text
                    .push_str(words.next().filter(|word| word.parse::<u32>().is_ok_and(|n| n.to_string() == **word))?),
                'b' => text.push_str(&escapes_of(
                    words.next().filter(|word| !word.contains(['x', 'c', 'u', 'U', 'e']) || !word.contains('\\'))?,
                )),
                'c' => text.push(words.next().and_then(|word| word.chars().next()).filter(char::is_ascii)?),
                _ => return None,
            }
        }
        if words.len() == 0 || words.len() == before || text.len() > LONGEST {
            return Some(text);
        }
    }
}

fn escapes_of(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let (radix, most) = match chars.peek() {
            Some('x') => (16, 2),
            Some('0'..='7') => (8, 4),
            _ => {
                match chars.next() {
                    Some(c) => out.extend(escaped(c).map_or(vec!['\\', c], |c| vec![c])),
                    None => out.push('\\'),
                }
                continue;
            }
        };
        if radix == 16 {
            chars.next();
        }
        let (mut value, mut count) = (0_u32, 0);
        // A leading zero is one digit more than three.
        let most = if chars.peek() == Some(&'0') || radix == 16 { most } else { 3 };
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(radix)).filter(|_| count < most) {
            chars.next();
            value = value.saturating_mul(radix).saturating_add(digit);
            count += 1;
        }
        out.extend(char::from_u32(if radix == 8 { value & 0xff } else { value }));
    }
    out
}

fn decode64(text: &str) -> Option<String> {
    let packed: String = text.split_whitespace().collect();
    String::from_utf8(STANDARD.decode(packed).ok()?).ok()
}

fn hexadecimal(text: &str) -> Option<String> {
    let digits: Vec<u32> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let bytes = digits.chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(high.saturating_mul(16).saturating_add(*low)).ok(),
        _ => None,
    });
    String::from_utf8(bytes.collect::<Option<_>>()?).ok()
}

/// `tr set set` with plain characters and ranges, and `tr -d set`.
fn translate(words: &[&str], fed: &str) -> Option<String> {
    match words {
        ["-d", gone] => {
            let gone = set(gone)?;
            Some(fed.chars().filter(|c| !gone.contains(c)).collect())
        }
        [from, to] if !from.starts_with('-') => {
            let (from, to) = (set(from)?, set(to)?);
            let last = *to.last()?;
            let other = |c: char| {
                let at = from.iter().rposition(|x| *x == c);
                at.map_or(c, |at| to.get(at).copied().unwrap_or(last))
            };
            Some(fed.chars().map(other).collect())
        }
        _ => None,
    }
}

fn set(text: &str) -> Option<Vec<char>> {
    let plain = text.replace("\\n", "").replace("\\\\", "");
    if text.contains("[:") || text.contains("[=") || text.contains("*]") || plain.contains('\\') {
        return None;
    }
    let text: Vec<char> = escapes_of(text).chars().collect();
    let mut all = Vec::new();
    let mut at = 0_usize;
    while let Some(c) = text.get(at).copied() {
        let range = (text.get(at.saturating_add(1)), text.get(at.saturating_add(2)));
        if let (Some('-'), Some(last)) = range {
            all.extend(c..=*last);
            at = at.saturating_add(3);
        } else {
            all.push(c);
            at = at.saturating_add(1);
        }
        if all.len() > 4096 {
            return None;
        }
    }
    Some(all)
}
