//! Imports between the files of a crate.
//!
//! Imports of ancestors and the re-exports of the crate root are ignored. All other imports must not form a circle.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;

use super::sources::{Source, sources};

/// The path of a module from the crate root.
type Module = Vec<String>;

/// The circles among the files of a crate, as lines of text.
pub(crate) fn circles(folder: &str) -> Vec<String> {
    let files: BTreeMap<Module, syn::File> = sources(folder)
        .into_iter()
        .filter(|source| !source.is_test)
        .filter_map(|source| Some((module_of(folder, &source)?, syn::parse_file(&source.text).expect("it compiles"))))
        .collect();
    let arrows: BTreeMap<&Module, BTreeSet<&Module>> =
        files.iter().map(|(module, file)| (module, named_by(module, file, &files))).collect();
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        arrows.keys().map(|module| (*module, reachable(module, &arrows))).collect();
    let mut circles = BTreeSet::new();
    for (module, targets) in &reached {
        let circle: Vec<String> = targets
            .iter()
            .filter(|target| reached[*target].contains(*module))
            .map(|target| target.join("::"))
            .collect();
        if !circle.is_empty() {
            circles.insert(format!("{folder}: {}", circle.join(", ")));
        }
    }
    circles.into_iter().collect()
}

fn module_of(folder: &str, source: &Source) -> Option<Module> {
    let inner = source.path.strip_prefix(folder)?.strip_prefix("/src/")?.strip_suffix(".rs")?;
    let mut names: Module = inner.split('/').map(str::to_owned).collect();
    if names[0] == "bin" {
        return None;
    }
    if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        names.pop();
    }
    Some(names)
}

fn reachable<'a>(from: &'a Module, arrows: &BTreeMap<&'a Module, BTreeSet<&'a Module>>) -> BTreeSet<&'a Module> {
    let (mut seen, mut ahead) = (BTreeSet::new(), vec![from]);
    while let Some(module) = ahead.pop() {
        for target in &arrows[module] {
            if seen.insert(*target) {
                ahead.push(target);
            }
        }
    }
    seen
}

fn named_by<'a>(module: &Module, file: &syn::File, files: &'a BTreeMap<Module, syn::File>) -> BTreeSet<&'a Module> {
    let mut paths = Paths::default();
    paths.visit_file(file);
    let targets = paths.0.iter().filter_map(|path| {
        let absolute = absolute(module, path, files)?;
        let longest = (1..=absolute.len()).rev().find_map(|length| files.get_key_value(&absolute[..length]))?.0;
        // Itself or an ancestor.
        (!module.starts_with(longest)).then_some(longest)
    });
    targets.collect()
}

/// A path from the crate root, if it leads into this crate.
fn absolute(module: &Module, path: &[String], files: &BTreeMap<Module, syn::File>) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(rest.to_vec()),
        "self" => Some([module, rest].concat()),
        "super" => {
            let ups = path.iter().take_while(|name| *name == "super").count();
            let parent = module.get(..module.len().checked_sub(ups)?)?;
            Some([parent, &path[ups..]].concat())
        }
        _ => {
            let child = [module.as_slice(), std::slice::from_ref(first)].concat();
            files.contains_key(&child).then(|| [module.as_slice(), path].concat())
        }
    }
}

/// All paths in a file, except those of its test module.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl Paths {
    fn flatten(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.flatten(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.0.push(with(&name.ident)),
            syn::UseTree::Rename(rename) => self.0.push(with(&rename.ident)),
            syn::UseTree::Glob(_) => self.0.push(before.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.flatten(before, item)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = item.attrs.iter().any(|attribute| attribute.path().is_ident("cfg"));
        if !is_test {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.flatten(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }
}
