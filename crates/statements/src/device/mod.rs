//! Lines of network devices: words, each of which may be abbreviated as long as it stays clear.

/// Words in front of a command that only say in which mode it runs.
const MODES: [&str; 3] = ["do", "run", "sudo"];

/// The commands of a line. Some devices take several, split by semicolons.
#[must_use]
pub fn commands(line: &str) -> Vec<Vec<&str>> {
    let split = line.split([';', '\n', '\r']).map(|command| {
        let words: Vec<&str> = command.split_whitespace().collect();
        let modes = words.iter().take_while(|word| MODES.iter().any(|mode| word.eq_ignore_ascii_case(mode))).count();
        words.get(modes..).unwrap_or_default().to_vec()
    });
    split.filter(|words| !words.is_empty()).collect()
}

/// Whether a command begins with the words of a rule: `er[ase]` is `er`, `era` up to `erase`; `*` is any word; `a|b` is
/// one of them. Upper and lower case do not count.
#[must_use]
pub fn is(rule: &str, words: &[&str]) -> bool {
    let mut words = words.iter();
    rule.split_whitespace()
        .all(|pattern| words.next().is_some_and(|word| pattern.split('|').any(|one| abbreviates(one, word))))
}

fn abbreviates(pattern: &str, word: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let word = word.to_lowercase();
    let (least, rest) = pattern.split_once('[').unwrap_or((pattern, ""));
    let whole = format!("{least}{}", rest.trim_end_matches(']')).to_lowercase();
    word.starts_with(&least.to_lowercase()) && whole.starts_with(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_may_be_abbreviated_and_no_shorter_than_is_clear() {
        let hit = |rule, line| commands(line).iter().any(|words| is(rule, words));
        assert!(hit("wr[ite] er[ase]", "write erase"));
        assert!(hit("wr[ite] er[ase]", "WR ER"));
        assert!(hit("wr[ite] er[ase]", "do wr era"));
        assert!(hit("wr[ite] er[ase]", "show version ; wr er"));
        assert!(!hit("wr[ite] er[ase]", "w er"));
        assert!(!hit("wr[ite] er[ase]", "write memory"));
        assert!(!hit("wr[ite] er[ase]", "write erases"));
        assert!(hit("username * priv[ilege] 15", "username bob privilege 15 secret x"));
        assert!(hit("copy|mo[re] flash:", "more flash:"));
        assert!(!hit("rel[oad]", ""));
    }
}
