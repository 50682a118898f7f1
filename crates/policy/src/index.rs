//! Which policies can matter: by action, then by the principal's keys, then by the resource's.

use crate::scope::Scope;
use std::collections::HashMap;

/// Position of a policy in its set.
pub(crate) type Slot = usize;

type ByResource = HashMap<String, Vec<Slot>>;
type ByPrincipal = HashMap<String, ByResource>;

/// The index of one sort of policies (permits, forbids or limits).
#[derive(Default)]
pub(crate) struct Index {
    named: HashMap<String, ByPrincipal>,
    /// Policies for every action.
    any: ByPrincipal,
}

impl Index {
    /// Files a policy.
    pub(crate) fn add(&mut self, slot: Slot, scope: &Scope) {
        let file = |table: &mut ByPrincipal| {
            let by_resource = table.entry(scope.principal.clone()).or_default();
            by_resource.entry(scope.resource.clone()).or_default().push(slot);
        };
        match &scope.actions {
            None => file(&mut self.any),
            Some(actions) => actions.iter().for_each(|action| file(self.named.entry(action.clone()).or_default())),
        }
    }

    /// The policies that can match, each once, in their order in the set.
    pub(crate) fn candidates(&self, action: &str, principals: &[String], resources: &[String]) -> Vec<Slot> {
        self.select(action, principals, |by_resource, found| {
            for key in resources {
                found.extend(by_resource.get(key).into_iter().flatten());
            }
        })
    }

    /// The policies that can match at any place at all.
    pub(crate) fn everywhere(&self, action: &str, principals: &[String]) -> Vec<Slot> {
        self.select(action, principals, |by_resource, found| found.extend(by_resource.values().flatten()))
    }

    fn select(&self, action: &str, principals: &[String], pick: impl Fn(&ByResource, &mut Vec<Slot>)) -> Vec<Slot> {
        let mut found = Vec::new();
        for table in self.named.get(action).into_iter().chain([&self.any]) {
            for key in principals {
                if let Some(by_resource) = table.get(key) {
                    pick(by_resource, &mut found);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
