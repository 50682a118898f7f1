use crate::{LoadErrors, PolicySet};
use sallyport_model::rules::{Act, Grammar};
use std::collections::BTreeSet;

const PERMIT: &str = "@commands(\"high-risk, mine\")\npermit (principal, action, resource);";
const MINE: &str =
    "name = \"mine\"\ndescription = \"d\"\n[[command]]\nid = \"a\"\nact = \"block\"\nwhy = \"w\"\nprogram = \"rm\"\n";

fn load(files: &[(&str, &str)]) -> Result<PolicySet, LoadErrors> {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    PolicySet::load(&files)
}

fn fails(files: &[(&str, &str)]) -> String {
    load(files).err().expect("it must not load").to_string()
}

#[test]
fn sets_come_with_the_product_and_from_files() {
    let set = load(&[("ops.cedar", PERMIT), ("mine.rules.toml", MINE)]).unwrap();
    let names: Vec<_> = set.rule_sets().map(|set| set.name.to_string()).collect();
    assert_eq!(names, ["high-risk", "mine", "network-device"]);
    let named: BTreeSet<_> = ["mine", "network-device"].map(str::to_owned).into();
    let sets = set.rules(&named);
    assert_eq!(sets.len(), 2);
    assert_eq!((sets[0].unknown, sets[0].commands[0].act), (Act::Alert, Act::Block));
    assert_eq!(sets[1].grammar, Grammar::Device);
    assert_eq!(set.rules_of("mine"), ["ops.cedar:1"]);
    assert!(set.rules_of("network-device").is_empty());
}

#[test]
fn a_rule_that_nobody_has_refuses_the_policy() {
    let text = fails(&[("ops.cedar", &format!("\n\n{PERMIT}"))]);
    assert!(
        text.contains("ops.cedar:3:1: @commands names the rule set `mine`, which is in no *.rules.toml file"),
        "{text}"
    );
    assert!(text.contains("high-risk, network-device"), "{text}");
}

#[test]
fn mistakes_in_rules_are_told_with_their_place() {
    let mine = |text: &str| fails(&[("mine.rules.toml", text)]);
    assert!(mine(&MINE.replace("block", "blok")).contains("mine.rules.toml:5:7: unknown variant `blok`"));
    assert!(mine(&MINE.replace("program", "progam")).contains("unknown field `progam`"));
    assert!(mine(&MINE.replace("\"w\"", "\"\"")).contains("has no `why`"));
    assert!(mine(&MINE.replace("\"rm\"", "\"\"")).contains("names nothing"));
    assert!(mine("name = \"mine\"\ndescription = \"d\"\n").contains("it has no rule"));
    assert!(mine(&MINE.replace("\"mine\"", "\"high-risk\"")).contains("comes with the product"));
    assert!(
        mine(&format!("{MINE}[[command]]\nid = \"a\"\nact = \"alert\"\nwhy = \"w\"\nprogram = \"x\"\n"))
            .contains("used twice")
    );
    assert!(mine(&MINE.replace("program", "line")).contains("grammar"));
    let two = fails(&[("a.rules.toml", MINE), ("b.rules.toml", MINE)]);
    assert!(two.contains("b.rules.toml:1:1: the rule set `mine` stands in a.rules.toml already"), "{two}");
}

#[test]
fn the_hash_pins_the_rules() {
    let hash = |text: &str| load(&[("mine.rules.toml", text)]).unwrap().hash().to_owned();
    assert_ne!(hash(MINE), hash(&MINE.replace("\"rm\"", "\"mv\"")));
    assert_eq!(hash(MINE), hash(MINE));
}
