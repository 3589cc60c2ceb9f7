//! The directories around paths.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::admits;
use crate::constraints::{Files, Surroundings};
use crate::rule::Rule;
use crate::rule::path::{Path as PathCheck, PathRule};

/// Most roots of a rule.
const ROOTS_MAX: usize = 4;
/// Most directories that are compared with each other; beyond, the deepest are taken for their parents.
const PLACES_MAX: usize = 100;
/// What holds so much besides what was seen that it is a root only if nothing deeper will do, as any directory at the top is.
const BROAD: &[&str] = &[
    "/var/tmp",
    "/var/lib",
    "/usr/local",
    "/usr/share",
    "/private/tmp",
];

/// A rule with the fewest and deepest roots around paths, of which none leads to secrets.
pub(super) fn draw(proposal: &PathRule, texts: &[&str], around: &Surroundings) -> Option<PathRule> {
    let is_url = |text: &&str| {
        text.get(..5)
            .is_some_and(|head| head.eq_ignore_ascii_case("file:"))
    };
    let open = PathRule {
        required: false,
        roots: Vec::new(),
        hidden: true,
        must_exist: false,
        file_urls: texts.iter().any(is_url),
        dangerously_allow_secrets: false,
        ..proposal.clone()
    };
    let check = PathCheck::compile(&open, around).ok()?;
    let mut led = Vec::new();
    let mut is_rooted = true;
    for text in texts {
        let passed = check.check(text).ok()?;
        match passed.paths.into_iter().next() {
            Some(resolved) => led.push(resolved.path),
            // Nobody knows where it begins, so no root holds it.
            None => is_rooted = false,
        }
    }
    led.sort();
    led.dedup();
    let roots = if is_rooted {
        let roots = roots(&led, around).into_iter();
        roots
            .map(|root| root.to_str().map(str::to_owned))
            .collect::<Option<_>>()?
    } else {
        Vec::new()
    };
    let values: Vec<Value> = texts.iter().map(|text| Value::from(*text)).collect();
    let values: Vec<&Value> = values.iter().collect();
    [false, true].into_iter().find_map(|hidden| {
        let rule = PathRule {
            roots: roots.clone(),
            hidden,
            ..open.clone()
        };
        admits(&Rule::Path(rule.clone()), &values, around).then_some(rule)
    })
}

/// At most four directories that hold all of `led`, each deep, and each around two of them where that is no broad place.
fn roots(led: &[PathBuf], around: &Surroundings) -> Vec<PathBuf> {
    let mut places: BTreeMap<PathBuf, usize> = BTreeMap::new();
    for path in led {
        *places.entry(place(path, led, around)).or_default() += 1;
    }
    while places.len() > PLACES_MAX {
        let Some(deepest) = places.keys().map(|path| depth(path)).max() else {
            break;
        };
        for (path, count) in std::mem::take(&mut places) {
            let parent = path.parent().filter(|_| depth(&path) == deepest);
            let path = parent.map(Path::to_owned).unwrap_or(path);
            *places.entry(path).or_default() += count;
        }
    }
    loop {
        places = without_nested(places);
        let Some((one, other)) = pair(&places, around) else {
            return places.into_keys().collect();
        };
        let count = [&one, &other]
            .into_iter()
            .filter_map(|path| places.remove(path))
            .sum::<usize>();
        *places.entry(common(&one, &other)).or_default() += count;
    }
}

/// The directory that a path is in, or that it is; what is in a broad place stands for itself.
fn place(path: &Path, led: &[PathBuf], around: &Surroundings) -> PathBuf {
    let is_here = around.files == Files::Here;
    let is_directory = if is_here {
        path.is_dir()
    } else {
        led.iter()
            .any(|other| other != path && other.starts_with(path))
    };
    let start = if is_directory {
        Some(path)
    } else {
        path.parent()
    };
    // A root has to be there, also once what was seen is gone.
    let mut directories = start.into_iter().flat_map(Path::ancestors);
    let directory = directories
        .find(|directory| !is_here || directory.is_dir())
        .unwrap_or(Path::new("/"));
    if is_broad(directory, around) && (!is_here || path.exists()) {
        path.to_owned()
    } else {
        directory.to_owned()
    }
}

fn is_broad(directory: &Path, around: &Surroundings) -> bool {
    let homes = around.home.iter().flat_map(|home| home.ancestors());
    let mut broad = BROAD.iter().map(Path::new).chain(homes);
    depth(directory) < 2
        || broad.any(|broad| broad == directory)
        || directory.parent() == Some(Path::new("/home"))
        || directory.parent() == Some(Path::new("/Users"))
}

fn depth(path: &Path) -> usize {
    path.components().count().saturating_sub(1)
}

fn without_nested(places: BTreeMap<PathBuf, usize>) -> BTreeMap<PathBuf, usize> {
    let mut kept: BTreeMap<PathBuf, usize> = BTreeMap::new();
    // A directory sorts before what is beneath it.
    for (path, count) in places {
        let above = path.ancestors().find(|above| kept.contains_key(*above));
        let key = above.unwrap_or(&path).to_owned();
        *kept.entry(key).or_default() += count;
    }
    kept
}

/// The two places to put together next: those with the deepest directory in common.
fn pair(places: &BTreeMap<PathBuf, usize>, around: &Surroundings) -> Option<(PathBuf, PathBuf)> {
    let too_many = places.len() > ROOTS_MAX;
    let mut best: Option<(bool, usize, &PathBuf, &PathBuf)> = None;
    for (index, (one, of_one)) in places.iter().enumerate() {
        for (other, of_other) in places.iter().skip(index.saturating_add(1)) {
            let common = common(one, other);
            let is_deep = !is_broad(&common, around);
            let is_lone = *of_one < 2 || *of_other < 2;
            let is_wanted = too_many || (is_deep && is_lone);
            let rank = (is_deep, depth(&common));
            if is_wanted && best.is_none_or(|(deep, depth, ..)| rank > (deep, depth)) {
                best = Some((rank.0, rank.1, one, other));
            }
        }
    }
    best.map(|(_, _, one, other)| (one.clone(), other.clone()))
}

fn common(one: &Path, other: &Path) -> PathBuf {
    let both = one.components().zip(other.components());
    both.take_while(|(one, other)| one == other)
        .map(|(one, _)| one)
        .collect()
}
