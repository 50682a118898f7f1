//! A terminal in which lines are read without waiting: for the fuzzer, and for what it kept. No build of the product has it.

use super::{Line, Shell};
use crate::observe::walk::turns;
use sallyport_model::door::Size;
use sallyport_model::inventory::Platform;
use sallyport_model::rules::{Act, CommandRule, Grammar, RuleSet};
use sallyport_statements::Rules;

fn rules(grammar: Grammar) -> Rules {
    let rule = CommandRule { id: "kept".into(), act: Act::Block, program: "mkdir".into(), ..CommandRule::default() };
    let Ok(name) = "mine".parse() else { return Rules::new(&[]) };
    let set = RuleSet {
        name,
        description: String::new(),
        grammar,
        unknown: Act::Pass,
        otherwise: Act::Pass,
        commands: vec![rule],
        files: Vec::new(),
    };
    Rules::new(&[set])
}

/// A conversation of a client and a target at a terminal of each sort: every line is read and judged.
pub(crate) fn walk(bytes: &[u8]) {
    for platform in [Platform::Posix, Platform::CiscoIos] {
        let Some(shell) = Shell::new(Size { cols: 20, rows: 6 }, platform) else { return };
        let rules = rules(platform.grammar());
        for (turn, client) in turns(bytes) {
            if !client {
                shell.output(turn);
                continue;
            }
            let mut rest = turn;
            while !rest.is_empty() {
                let taken = shell.piece(rest);
                assert!((1..=rest.len()).contains(&taken), "a piece of nothing, or of more than there is");
                let (piece, after) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
                rest = after;
                if shell.lock().prompt.is_none() {
                    shell.here();
                }
                shell.sent(piece);
                let line = shell.stands();
                if let Line::Shown(text) = &line {
                    assert!(text.trim() == text && !text.is_empty(), "{text:?} is no line");
                }
                let _ = shell.judge(&rules, &line);
                let _ = shell.over();
            }
        }
    }
}
