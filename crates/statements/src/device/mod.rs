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

/// A line as it stands on the screen, without the pager and the prompt before it: `core-1#wr er` is `wr er`.
#[must_use]
pub fn unprompted(shown: &str) -> &str {
    let line = [("--More--", ""), ("---(more", ")---")].into_iter().fold(shown, |line, (pager, end)| {
        let behind = line.rsplit_once(pager).map_or(line, |(_, behind)| behind);
        if end.is_empty() || behind.len() == line.len() {
            behind
        } else {
            behind.split_once(end).map_or("", |(_, b)| b)
        }
    });
    let line = line.trim_start();
    let word = line.split_whitespace().next().unwrap_or_default();
    // A prompt is one word: `core-1>`, `core-1(config-if)#`, `ada@edge-1>`.
    match word.find(['>', '#']) {
        Some(end) if end > 0 => line.get(end.saturating_add(1)..).unwrap_or_default(),
        _ => line,
    }
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

    #[test]
    fn a_prompt_and_a_pager_are_no_part_of_a_line() {
        for (shown, line) in [
            ("wr er", "wr er"),
            ("core-1#wr er", "wr er"),
            ("core-1(config-if)# no shutdown", " no shutdown"),
            ("ada@edge-1> show version", " show version"),
            (" --More-- ", ""),
            (" --More-- core-1#reload", "reload"),
            ("---(more 40%)---", ""),
            ("---(more 40%)---ada@edge-1> request system halt", " request system halt"),
            ("description a>b", "description a>b"),
            ("#", "#"),
            ("", ""),
        ] {
            assert_eq!(unprompted(shown), line, "{shown:?}");
        }
    }
}
