//! What an interactive shell puts into a line from its history, before it reads it.

/// Whether an interactive shell would put something of its history into this line.
#[must_use]
pub fn recalls(text: &str) -> bool {
    // Single quotes keep it out, but not where they stand in double ones.
    let (mut quoted, single) = (false, !text.contains('"'));
    let mut before = '\n';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '^' if before == '\n' => return true,
            '\\' if !quoted => drop(chars.next()),
            '\'' => quoted = single && !quoted,
            '!' if !quoted && !matches!(before, '$' | '{' | '[') => {
                let plain =
                    chars.peek().is_none_or(|c| matches!(c, ' ' | '\t' | '\n' | '=' | '(' | ';' | '&' | '|' | '"'));
                if !plain {
                    return true;
                }
            }
            _ => {}
        }
        before = c;
    }
    false
}
