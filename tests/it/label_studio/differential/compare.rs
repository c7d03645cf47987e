//! What differs between both sides of a case, and whether the case expects it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::case::Case;
use super::state::State;

/// What is compared, by place: `1 storage`, `2 task a.json`, `summary common`.
pub(crate) type Places = BTreeMap<String, Value>;

/// Adds the states after a sync to the places of both sides.
pub(crate) fn add(places: &mut [Places; 2], round: usize, states: [&State; 2], case: &Case) {
    let [theirs, ours] = states;
    let common: BTreeSet<&String> = theirs.tasks.keys().filter(|name| ours.tasks.contains_key(*name)).collect();
    for (places, state) in places.iter_mut().zip(states) {
        places.insert(format!("{round} storage"), json!(state.storage));
        for (name, task) in &state.tasks {
            places.insert(format!("{round} task {name}"), task.clone());
        }
        let order = state.order.iter().filter(|(name, _)| common.contains(name));
        // A task that only one side has takes a number.
        let order = if case.differences.is_empty() && case.deleted.is_empty() {
            order.map(|(name, number)| json!([name, number])).collect::<Vec<_>>()
        } else {
            order.map(|(name, _)| json!(name)).collect()
        };
        if case.is_ordered {
            places.insert(format!("{round} order"), order.into());
        }
    }
    if case.has_cohort {
        places.iter_mut().for_each(|places| count_overlaps(places, round));
    }
}

/// Replaces the overlap of each task, which is chosen at random, by the number of tasks with each overlap.
fn count_overlaps(places: &mut Places, round: usize) {
    let mut overlaps: BTreeMap<String, usize> = BTreeMap::new();
    for (_, task) in places.iter_mut().filter(|(place, _)| place.starts_with(&format!("{round} task "))) {
        let overlap = task.as_object_mut().expect("a task").remove("overlap");
        *overlaps.entry(overlap.map_or_else(|| "1".to_owned(), |overlap| overlap.to_string())).or_default() += 1;
    }
    places.insert(format!("{round} overlaps"), json!(overlaps));
}

/// What differs and is not expected, and what is expected and does not differ, as lines.
pub(crate) fn faults(case: &Case, places: &[Places; 2]) -> Vec<String> {
    let [theirs, ours] = places;
    let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    let mut expected: BTreeMap<&str, [Vec<Value>; 2]> = BTreeMap::new();
    for difference in &case.differences {
        let mut theirs = vec![difference.theirs.clone()];
        theirs.extend(difference.or_theirs.iter().cloned());
        let mut ours = vec![difference.ours.clone()];
        theirs.iter_mut().chain(&mut ours).for_each(super::state::doubles);
        let before = expected.insert(&difference.at, [theirs, ours]);
        assert!(before.is_none(), "{}: {} has one difference", case.name, difference.at);
    }
    let mut faults = Vec::new();
    for name in names {
        let value = |places: &Places| places.get(name).cloned().unwrap_or_default();
        let (theirs, ours) = (value(theirs), value(ours));
        match expected.remove(name.as_str()) {
            None if theirs == ours => {}
            None => faults.push(format!("{}: {name}\n    theirs {theirs}\n    ours   {ours}", case.name)),
            Some([their_values, our_values]) => {
                for (side, expected, seen) in [("theirs", their_values, theirs), ("ours", our_values, ours)] {
                    if !expected.contains(&seen) {
                        let expected = expected.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
                        faults.push(format!(
                            "{}: {name}, {side}\n    expected {expected}\n    seen     {seen}",
                            case.name
                        ));
                    }
                }
            }
        }
    }
    faults.extend(expected.keys().map(|name| format!("{}: {name} is not there", case.name)));
    faults
}
