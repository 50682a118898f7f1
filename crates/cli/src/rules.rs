//! Rules over commands and files: list, show, try.

use crate::Fail;
use crate::client::Client;
use crate::command::Rules;
use crate::output::{Output, harmless, table};
use sallyport_wire as wire;

pub(crate) async fn run(command: Rules, client: &Client, out: Output) -> Result<(), Fail> {
    match command {
        Rules::List => {
            let sets: Vec<wire::RuleSet> = client.get("/rules", &[]).await?;
            out.show(&sets, |sets| {
                let row = |set: &wire::RuleSet| {
                    let applies = if set.policies.is_empty() { "nowhere".into() } else { set.policies.join(", ") };
                    vec![set.name.clone(), set.rules.len().to_string(), applies, set.description.clone()]
                };
                table(
                    &["SET", "RULES", "APPLIES BY", "WHAT FOR"],
                    sets.iter().map(row).collect(),
                    "There are no rule sets.",
                )
            })
        }
        Rules::Show { name } => {
            let sets: Vec<wire::RuleSet> = client.get("/rules", &[]).await?;
            let missing = || {
                Fail::usage(format!("there is no rule set {name}: `sallyport rules list` shows those that there are"))
            };
            let set = sets.into_iter().find(|set| set.name == name).ok_or_else(missing)?;
            out.show(&set, |set| {
                let row = |rule: &wire::Rule| {
                    let shells = rule.in_shells.clone().unwrap_or_else(|| "-".into());
                    vec![rule.id.clone(), rule.act.clone(), rule.guarantee.clone(), shells, rule.why.clone()]
                };
                let rules = table(
                    &["RULE", "ACT", "IN EXEC AND FILES", "IN SHELLS", "WHY"],
                    set.rules.iter().map(row).collect(),
                    "It has no rules.",
                );
                format!(
                    "{rules}\nWhat cannot be read for certain: {}. What no rule names: {}.",
                    set.unknown, set.otherwise
                )
            })
        }
        Rules::Try { name, command } => {
            let ask = wire::TryRules { command };
            let ruling: wire::Ruling = client.post(&format!("/rules/{}/try", name.replace('/', "%2F")), &ask).await?;
            out.show(&ruling, |ruling| match (&ruling.rule, &ruling.why, &ruling.command) {
                (Some(rule), Some(why), Some(command)) => {
                    format!("{} by {rule}: {why}\n  about: {command}{}", ruling.act, read(ruling))
                }
                _ => format!("{}: no rule of the set is about it{}", ruling.act, read(ruling)),
            })
        }
    }
}

/// The programs of a command, as the set reads them; nothing where it is one program and reads as it is written.
fn read(ruling: &wire::Ruling) -> String {
    let lines = ruling.read.iter().map(|words| format!("\n  read as: {}", harmless(&words.join(" "))));
    if ruling.read.len() > 1 { lines.collect() } else { String::new() }
}
