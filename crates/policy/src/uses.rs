//! What a policy's conditions read, so that only that is made for a decision.

use std::sync::Arc;

use cedar_policy::pst::{self, BinaryOp, Clause, Expr, Literal, Var};

use crate::arguments::Wanted;

/// The attributes of the context, but the arguments. Each name is also its bit's position.
pub(crate) const ATTRIBUTES: [&str; 9] = [
    "approved", "scopes", "client", "labels", "history", "now", "kind", "what", "argument",
];

/// The attributes of the context that come with a credential.
const OF_CREDENTIAL: [&str; 3] = ["scopes", "client", "kind"];

/// What conditions read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four independent findings about one text"
)]
pub(crate) struct Uses {
    /// Attributes of the context, but the arguments.
    attributes: u16,
    pub(crate) arguments: Wanted,
    /// Whether an argument, or something within, is there at all.
    pub(crate) asks_for_arguments: bool,
    /// The principal, or what it is in.
    pub(crate) principal: bool,
    /// The action, the resource, or an entity by its name; not the names of users, groups and
    /// clients, of which only the principal has anything to be read.
    pub(crate) entities: bool,
    /// Nothing that could be evaluated.
    pub(crate) errs: bool,
}

/// A string that a policy compares an argument with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// The argument's path.
    pub(crate) path: Vec<Box<str>>,
    pub(crate) text: Box<str>,
}

impl Uses {
    /// What a policy reads, and the strings that it compares arguments with.
    pub(crate) fn of(policy: &pst::Policy) -> (Self, Vec<Compared>) {
        let mut reader = Reader::default();
        for clause in policy.body().clauses() {
            match clause {
                Clause::When(expr) | Clause::Unless(expr) => reader.read(expr),
            }
        }
        (reader.uses, reader.compared)
    }

    /// Everything.
    pub(crate) fn all() -> Self {
        Self {
            attributes: u16::MAX,
            arguments: Wanted::All,
            asks_for_arguments: true,
            principal: true,
            entities: true,
            errs: false,
        }
    }

    /// Certain arguments, and nothing else.
    fn of_arguments<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            arguments: Wanted::Named(names.into_iter().map(Box::from).collect()),
            ..Self::default()
        }
    }

    pub(crate) fn reads(&self, attribute: &str) -> bool {
        bit(attribute).is_some_and(|bit| self.attributes & bit != 0)
    }

    /// Whether an argument is read, or whether it is there.
    pub(crate) fn reads_arguments(&self) -> bool {
        self.asks_for_arguments || self.arguments != Wanted::Nothing
    }

    pub(crate) fn reads_no_context(&self) -> bool {
        self.attributes == 0 && self.arguments == Wanted::Nothing
    }

    pub(crate) fn reads_nothing(&self) -> bool {
        self.reads_no_context() && !self.principal && !self.entities
    }

    /// Whether the principal or something of their credential is read.
    pub(crate) fn reads_who(&self) -> bool {
        self.principal || OF_CREDENTIAL.into_iter().any(|name| self.reads(name))
    }

    /// Whether nothing else is read.
    pub(crate) fn reads_only_who(&self) -> bool {
        let of_credential = OF_CREDENTIAL.into_iter().filter_map(bit);
        let known = of_credential.fold(0, |bits, bit| bits | bit);
        self.attributes & !known == 0 && self.arguments == Wanted::Nothing && !self.entities
    }

    /// Adds what another reads.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.attributes |= other.attributes;
        self.asks_for_arguments |= other.asks_for_arguments;
        self.principal |= other.principal;
        self.entities |= other.entities;
        self.errs |= other.errs;
        match (&mut self.arguments, &other.arguments) {
            (Wanted::All, _) | (_, Wanted::Nothing) => {}
            (mine, Wanted::All) => *mine = Wanted::All,
            (Wanted::Named(mine), Wanted::Named(more)) => mine.extend(more.iter().cloned()),
            (mine @ Wanted::Nothing, Wanted::Named(more)) => *mine = Wanted::Named(more.clone()),
        }
    }

    /// Adds `context.a.b.c` by its path.
    fn add(&mut self, path: &[&str]) {
        match path {
            [] => *self = Self::all(),
            ["arguments"] => self.arguments = Wanted::All,
            ["arguments", name, ..] => self.merge(&Self::of_arguments([*name])),
            [name, ..] => self.attributes |= bit(name).unwrap_or_default(),
        }
    }
}

/// The path of `context.a.b.c`.
pub(crate) fn context_path(expr: &Expr) -> Option<Vec<&str>> {
    if let Expr::Var(Var::Context) = expr {
        return Some(Vec::new());
    }
    let Expr::GetAttr { expr, attr } = expr else {
        return None;
    };
    let mut path = context_path(expr)?;
    path.push(attr.as_str());
    Some(path)
}

fn bit(attribute: &str) -> Option<u16> {
    let at = ATTRIBUTES.iter().position(|name| *name == attribute)?;
    1_u16.checked_shl(u32::try_from(at).ok()?)
}

#[derive(Default)]
struct Reader {
    uses: Uses,
    compared: Vec<Compared>,
}

impl Reader {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what the language adds is taken to read everything"
    )]
    fn read(&mut self, expr: &Expr) {
        if let Some(path) = context_path(expr) {
            self.uses.add(&path);
            return;
        }
        match expr {
            Expr::HasAttr { expr, attrs } => {
                let Some(mut path) = context_path(expr) else {
                    self.uses.asks_for_arguments |= !matches!(**expr, Expr::Var(_));
                    return self.read(expr);
                };
                path.extend(attrs.iter().map(AsRef::<str>::as_ref));
                match path.as_slice() {
                    // That there are arguments is true without any of them.
                    ["arguments"] => self.uses.merge(&Uses::of_arguments([])),
                    path => {
                        self.uses.asks_for_arguments |= path.first() == Some(&"arguments");
                        self.uses.add(path);
                    }
                }
            }
            Expr::BinaryOp { op, left, right } => {
                self.compare(*op, left, right);
                self.read(left);
                self.read(right);
            }
            Expr::GetAttr { expr, .. } | Expr::UnaryOp { expr, .. } | Expr::Like { expr, .. } => {
                self.read(expr);
            }
            Expr::Is { expr, in_expr, .. } => {
                self.read(expr);
                self.read_all(in_expr);
            }
            Expr::IfThenElse {
                cond,
                then_expr,
                else_expr,
            } => self.read_all([cond, then_expr, else_expr]),
            Expr::Set(elements) => self.read_all(elements),
            Expr::Record(members) => self.read_all(members.values()),
            Expr::Var(Var::Principal) => self.uses.principal = true,
            Expr::Var(_) => self.uses.entities = true,
            Expr::Literal(Literal::EntityUID(uid)) => {
                let bare = ["User", "Group", "Client"];
                self.uses.entities |= !bare.contains(&uid.ty.to_string().as_str());
            }
            Expr::Literal(_) | Expr::Slot(_) => {}
            Expr::ResidualError => self.uses.errs = true,
            // What a later version of the language adds may read anything.
            _ => self.uses = Uses::all(),
        }
    }

    fn read_all<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Arc<Expr>>) {
        for expr in exprs {
            self.read(expr);
        }
    }

    /// Notes `context.arguments.a == "text"` and `["text"].contains(context.arguments.a)`.
    fn compare(&mut self, op: BinaryOp, left: &Expr, right: &Expr) {
        if !matches!(op, BinaryOp::Eq | BinaryOp::NotEq | BinaryOp::Contains) {
            return;
        }
        for (one, other) in [(left, right), (right, left)] {
            let path = context_path(one).unwrap_or_default();
            let Some(("arguments", path)) = path.split_first().map(|(head, rest)| (*head, rest))
            else {
                continue;
            };
            let mut note = |expr: &Expr| {
                if let Expr::Literal(Literal::String(text)) = expr {
                    self.compared.push(Compared {
                        path: path.iter().map(|name| Box::from(*name)).collect(),
                        text: text.as_str().into(),
                    });
                }
            };
            if let Expr::Set(elements) = other {
                for element in elements {
                    note(element);
                }
            } else {
                note(other);
            }
        }
    }
}

#[cfg(test)]
mod tests;
