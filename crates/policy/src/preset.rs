//! Policies to begin with.

use std::sync::Arc;

use crate::mistake::PolicyFile;

/// A file of policies that comes with the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Lists, prompts, resources, and tools that say they only read.
    ReadOnly,
    /// Everything; what says it is destructive is asked for.
    DeveloperLaptop,
    /// Everything for people with names; what says it is destructive is asked for, of `admins` alone.
    Team,
    /// Lists.
    LockedDown,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::ReadOnly,
        Self::DeveloperLaptop,
        Self::Team,
        Self::LockedDown,
    ];

    /// Its name, as in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::DeveloperLaptop => "developer-laptop",
            Self::Team => "team",
            Self::LockedDown => "locked-down",
        }
    }

    /// The preset with a name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// Its policies.
    pub fn text(self) -> &'static str {
        match self {
            Self::ReadOnly => include_str!("../presets/read-only.cedar"),
            Self::DeveloperLaptop => include_str!("../presets/developer-laptop.cedar"),
            Self::Team => include_str!("../presets/team.cedar"),
            Self::LockedDown => include_str!("../presets/locked-down.cedar"),
        }
    }

    /// It as a file, to be compiled with others.
    pub fn file(self) -> PolicyFile {
        PolicyFile {
            name: format!("{}.cedar", self.name()).into(),
            text: Arc::from(self.text()),
        }
    }
}
