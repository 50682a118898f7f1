//! Rule sets: list, and say what one would make of a command.

use crate::App;
use crate::auth::Caller;
use crate::problem::{Problem, Sent};
use axum::Json;
use axum::extract::{Path, State};
use sallyport_control::{RuleSetLine, Ruling, Tried};
use sallyport_model::rules::{Act, Grammar, Guarantee};
use sallyport_wire as wire;

/// Longest command that is tried, in bytes.
const LONGEST: usize = 64 << 10;
/// Programs that are told of one command.
const READ: usize = 200;

/// The rule sets of the policy, those that come with the product among them.
#[utoipa::path(get, path = "/api/v1/rules", responses((status = 200, body = Vec<wire::RuleSet>)), tag = "policy")]
pub(crate) async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Vec<wire::RuleSet>>, Problem> {
    Ok(Json(app.control.rule_sets(&caller.op)?.into_iter().map(set).collect()))
}

/// What a rule set says of a command, which is not run.
#[utoipa::path(post, path = "/api/v1/rules/{name}/try", params(("name" = String, Path)), request_body = wire::TryRules, responses((status = 200, body = wire::Ruling)), tag = "policy")]
pub(crate) async fn attempt(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Sent(ask): Sent<wire::TryRules>,
) -> Result<Json<wire::Ruling>, Problem> {
    if ask.command.len() > LONGEST {
        return Err(Problem::usage("a command that is tried has at most 64 KiB: try a shorter one"));
    }
    let Tried { finding, mut read } = app.control.try_rules(&caller.op, &name, &ask.command)?;
    read.truncate(READ);
    Ok(Json(match finding {
        Some(Ruling { act, rule, why, command }) => {
            wire::Ruling { act: act.word().into(), rule: Some(rule), why: Some(why), command: Some(command), read }
        }
        None => wire::Ruling { act: Act::Pass.word().into(), rule: None, why: None, command: None, read },
    }))
}

fn set(line: RuleSetLine) -> wire::RuleSet {
    let RuleSetLine { set, ready, policies } = line;
    let rule = |id: &str, about: &str, act: Act, why: &str| wire::Rule {
        id: id.into(),
        about: about.into(),
        act: act.word().into(),
        why: why.into(),
        guarantee: Guarantee::Enforced.word().into(),
        in_shells: (about == "command").then(|| Guarantee::BestEffort.word().into()),
    };
    let commands = set.commands.iter().map(|r| rule(&r.id, "command", r.act, &r.why));
    let files = set.files.iter().map(|r| rule(&r.id, "file", r.act, &r.why));
    wire::RuleSet {
        rules: commands.chain(files).collect(),
        name: set.name.to_string(),
        grammar: match set.grammar {
            Grammar::Shell => "shell",
            Grammar::Device => "device",
        }
        .into(),
        unknown: set.unknown.word().into(),
        otherwise: set.otherwise.word().into(),
        description: set.description,
        ready,
        policies,
    }
}
