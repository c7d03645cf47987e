//! What was left out of the items of an object.

use std::collections::BTreeMap;

use longshore_model::ItemWarning;

/// The warnings of an object, each with the number of its items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Warnings(BTreeMap<ItemWarning, WarnedRows>);

/// The items with one warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WarnedRows {
    pub items: i64,
    /// Numbers of the first and the last of them.
    pub first: i32,
    last: i32,
}

impl Warnings {
    /// Adds a warning of an item. The same one of the same item counts once.
    pub fn add(&mut self, warning: ItemWarning, row: usize) {
        let row = i32::try_from(row).unwrap_or(i32::MAX);
        let warned = self.0.entry(warning).or_insert(WarnedRows { items: 0, first: row, last: -1 });
        if warned.last != row {
            (warned.items, warned.last) = (warned.items + 1, row);
        }
    }

    /// Each warning with its items.
    pub fn rows(&self) -> impl Iterator<Item = (ItemWarning, WarnedRows)> + '_ {
        self.0.iter().map(|(warning, rows)| (*warning, *rows))
    }
}
