//! The inventory file that an import makes: what a person would have written, name first.

use super::Found;
use sallyport_model::inventory::Class;
use toml::Value;

pub(super) fn text<'a>(targets: impl Iterator<Item = &'a Found>) -> String {
    let mut text = String::from("# Imported. Look at every tier and class: policies and limits go by them.\n");
    for found in targets {
        text.push_str("\n[[target]]\n");
        for note in &found.notes {
            text.push_str(&format!("# {}\n", note.replace(char::is_control, " ")));
        }
        let mut put = |key: &str, value: Value| text.push_str(&format!("{key} = {value}\n"));
        put("name", found.name.as_str().into());
        put("host", found.host.as_str().into());
        if found.port != 22 {
            put("port", i64::from(found.port).into());
        }
        put("tier", i64::from(u8::from(found.tier)).into());
        put("environment", found.environment.as_str().into());
        put("zone", found.zone.as_str().into());
        if !found.tags.is_empty() {
            put("tags", found.tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>().into());
        }
        if !found.host_keys.is_empty() {
            put("host_keys", found.host_keys.iter().map(String::as_str).collect::<Vec<_>>().into());
        }
        if !found.authorities.is_empty() {
            put("host_authorities", found.authorities.iter().map(String::as_str).collect::<Vec<_>>().into());
        }
        if let Some(via) = &found.via {
            put("via", via.to_string().into());
        }
        for (name, account) in &found.accounts {
            text.push_str("\n[[target.account]]\n");
            let mut put = |key: &str, value: &str| text.push_str(&format!("{key} = {}\n", Value::from(value)));
            put("name", name.as_str());
            put("class", word(account.class));
            if let Some(owner) = &account.owner {
                put("owner", owner.as_str());
            }
        }
    }
    text
}

const fn word(class: Class) -> &'static str {
    match class {
        Class::Administrative => "administrative",
        Class::Service => "service",
        Class::Standard => "standard",
    }
}
