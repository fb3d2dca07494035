//! Who makes a call, and what that allows.

use std::{collections::BTreeSet, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Identity, Key, Violation};

/// What an actor begins with whose name a token has proven. No request can claim it for itself.
pub const BY_TOKEN: &str = "token:";
/// The same of somebody whose name an identity provider has proven.
pub const BY_OIDC: &str = "oidc:";

/// Whether somebody has proven the actor's name.
pub fn is_proven(actor: &str) -> bool {
    [BY_TOKEN, BY_OIDC].iter().any(|kind| actor.starts_with(kind))
}

/// What the holder of a token is. A token may have several roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A service: decides, watches and reports, for all migrations or for some.
    Sdk,
    /// Reads.
    Viewer,
    /// Reads, and changes migrations; runs passes.
    Operator,
    /// Reads, and works on passes.
    Worker,
    /// Reads, approves steps of plans, and overrides gates.
    Approver,
    /// Everything, tokens and backups included.
    Admin,
}

/// What a call needs of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// Nothing: anybody may make it, without a token.
    Nothing,
    /// To read the state of migrations.
    Read,
    /// To take part in routing: decide, watch and report.
    Route,
    /// To work on passes.
    Work,
    /// To change migrations.
    Operate,
    /// To approve steps and override gates.
    Approve,
    /// To manage tokens and backups.
    Administer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Sdk, Self::Viewer, Self::Worker, Self::Operator, Self::Approver, Self::Admin];

    /// Its name on the wire and the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sdk => "sdk",
            Self::Viewer => "viewer",
            Self::Worker => "worker",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// Whether it satisfies a need.
    pub const fn meets(self, need: Need) -> bool {
        match need {
            Need::Nothing => true,
            Need::Read => !matches!(self, Self::Sdk),
            Need::Route => matches!(self, Self::Sdk | Self::Worker | Self::Operator | Self::Admin),
            Need::Work => matches!(self, Self::Worker | Self::Operator | Self::Admin),
            Need::Operate => matches!(self, Self::Operator | Self::Admin),
            Need::Approve => matches!(self, Self::Approver | Self::Admin),
            Need::Administer => matches!(self, Self::Admin),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = Violation;

    fn from_str(text: &str) -> Result<Self, Violation> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(", ");
            Violation::new("roles", format!("{text:?} is not a role: give one of {known}"))
        })
    }
}

impl Need {
    /// The least role that satisfies it, for errors. `None`: no role is needed.
    pub const fn role(self) -> Option<Role> {
        match self {
            Self::Nothing => None,
            Self::Read => Some(Role::Viewer),
            Self::Route => Some(Role::Sdk),
            Self::Work => Some(Role::Worker),
            Self::Operate => Some(Role::Operator),
            Self::Approve => Some(Role::Approver),
            Self::Administer => Some(Role::Admin),
        }
    }
}

/// Whoever makes a call, after it has been authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal(Option<Arc<Holder>>);

#[derive(Debug, PartialEq, Eq)]
struct Holder {
    name: String,
    roles: BTreeSet<Role>,
    /// Empty: all migrations.
    migrations: BTreeSet<Key>,
    /// SHA-256 of the text that was shown.
    hash: String,
    /// `None`: the text is a token of this controller.
    vouched: Option<Vouched>,
}

/// How an identity provider vouches for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Until then.
    pub until_ms: u64,
    /// By the signature of this key.
    pub key: String,
    /// For this account: its issuer, and what the issuer calls it for good. `None`: the login does not say.
    pub account: Option<String>,
}

/// The token by which a process registered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Its name.
    pub token: String,
    /// SHA-256 of the text that the process showed, in hexadecimal.
    pub hash: String,
}

impl Principal {
    /// Anybody, at a controller without tokens: may do everything, and the history has the name that the request
    /// gives.
    pub const fn anybody() -> Self {
        Self(None)
    }

    /// The holder of a token. No migrations: all of them.
    pub fn holder(
        name: &str,
        roles: impl IntoIterator<Item = Role>,
        migrations: impl IntoIterator<Item = Key>,
        hash: &str,
    ) -> Self {
        let (roles, migrations) = (roles.into_iter().collect(), migrations.into_iter().collect());
        let (name, hash) = (name.to_owned(), hash.to_owned());
        Self(Some(Arc::new(Holder { name, roles, migrations, hash, vouched: None })))
    }

    /// Somebody whom an identity provider vouches for. Such a person takes no part in routing, whatever the roles: a
    /// process outlives a login.
    pub fn person(name: &str, roles: impl IntoIterator<Item = Role>, vouched: Vouched, hash: &str) -> Self {
        let (name, roles, hash) = (name.to_owned(), roles.into_iter().collect(), hash.to_owned());
        Self(Some(Arc::new(Holder {
            name,
            roles,
            migrations: BTreeSet::new(),
            hash,
            vouched: Some(vouched),
        })))
    }

    /// The roles. None at a controller without tokens, where they are not needed.
    pub fn roles(&self) -> impl Iterator<Item = Role> {
        self.0.iter().flat_map(|holder| holder.roles.iter().copied())
    }

    /// The name of the token or the person. `None`: nobody was authenticated.
    pub fn name(&self) -> Option<&str> {
        self.0.as_deref().map(|holder| holder.name.as_str())
    }

    /// What the history calls whoever this is. `None`: nobody was authenticated.
    pub fn actor(&self) -> Option<String> {
        let holder = self.0.as_deref()?;
        let kind = if holder.vouched.is_some() { BY_OIDC } else { BY_TOKEN };
        Some(format!("{kind}{}", holder.name))
    }

    /// What proves the actor's name.
    pub fn identity(&self) -> Identity {
        let Some(holder) = self.0.as_deref() else { return Identity::Unproven };
        match &holder.vouched {
            None => Identity::Token(holder.hash.clone()),
            Some(vouched) => vouched.account.clone().map_or(Identity::Unproven, Identity::Account),
        }
    }

    /// How an identity provider vouches for this person. `None`: it does not.
    pub fn vouched(&self) -> Option<&Vouched> {
        self.0.as_deref()?.vouched.as_ref()
    }

    /// The token. `None`: nobody was authenticated.
    pub fn credential(&self) -> Option<Credential> {
        let holder = self.0.as_deref()?;
        Some(Credential { token: holder.name.clone(), hash: holder.hash.clone() })
    }

    /// SHA-256 of the token's text.
    pub fn hash(&self) -> Option<&str> {
        self.0.as_deref().map(|holder| holder.hash.as_str())
    }

    /// The migrations that calls may be about, as a text: equal if and only if they are the same.
    pub fn scope(&self) -> String {
        let migrations = self.0.as_deref().map(|holder| &holder.migrations);
        match migrations.filter(|migrations| !migrations.is_empty()) {
            // No key begins with it.
            None => "*".to_owned(),
            Some(migrations) => migrations.iter().map(Key::as_str).collect::<Vec<_>>().join(" "),
        }
    }

    /// Whether a call with this need is allowed.
    pub fn may(&self, need: Need) -> bool {
        self.0.as_deref().is_none_or(|holder| {
            let is_for_people = holder.vouched.is_none() || need != Need::Route;
            is_for_people && holder.roles.iter().any(|role| role.meets(need))
        })
    }

    /// Whether calls about this migration are allowed.
    pub fn covers(&self, migration: &str) -> bool {
        self.0.as_deref().is_none_or(|holder| {
            holder.migrations.is_empty() || holder.migrations.iter().any(|key| key.as_str() == migration)
        })
    }

    /// What to tell somebody who may not do what `call` says, like `call Pause`.
    pub fn refusal(&self, call: &str, need: Need) -> String {
        let Holder { name, roles, vouched, .. } = match self.0.as_deref() {
            Some(holder) => holder,
            None => return format!("nobody without a token may {call}"),
        };
        let roles = roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ");
        let role = need.role().map_or("none", Role::name);
        if vouched.is_some() {
            return match need {
                Need::Route => format!(
                    "{name} may not {call}: services and passes need a token, which outlives a login. An admin makes \
                     one: cutover token create NAME --role sdk (for passes: --role worker)"
                ),
                _ => format!(
                    "{name} ({roles}) may not {call}: that needs the role {role}. Ask for a group that has it \
                     ([oidc.roles] in the controller's configuration)"
                ),
            };
        }
        format!(
            "token {name} ({roles}) may not {call}: that needs the role {role}. Use another token, or ask an \
             admin for one: cutover token create NAME --role {role}"
        )
    }

    /// What to tell somebody whose token is not for this migration.
    pub fn out_of_scope(&self, migration: &str) -> String {
        let name = self.name().unwrap_or_default();
        let shown: String = migration.chars().take(63).collect();
        format!(
            "token {name} is not for migration {shown:?}. Use another token, or ask an admin for one: cutover token \
             create NAME --role sdk --migration {shown}"
        )
    }
}

/// Checks a token's name: `[a-z0-9][a-z0-9._-]{0,62}`.
pub fn check_token_name(name: &str) -> Result<(), Violation> {
    Key::parse(name).map(drop).map_err(|_| {
        let message = format!(
            "{name:?} is not a valid name: use 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit"
        );
        Violation::new("name", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_role_may_do() {
        use Need::{Administer, Approve, Nothing, Operate, Read, Route, Work};
        for (role, may) in [
            (Role::Sdk, &[Nothing, Route][..]),
            (Role::Viewer, &[Nothing, Read]),
            (Role::Worker, &[Nothing, Read, Route, Work]),
            (Role::Operator, &[Nothing, Read, Route, Work, Operate]),
            (Role::Approver, &[Nothing, Read, Approve]),
            (Role::Admin, &[Nothing, Read, Route, Work, Operate, Approve, Administer]),
        ] {
            let all = [Nothing, Read, Route, Work, Operate, Approve, Administer];
            let met: Vec<Need> = all.into_iter().filter(|need| role.meets(*need)).collect();
            assert_eq!(met, may, "{role}");
            assert_eq!(role.name().parse(), Ok(role));
        }
    }

    #[test]
    fn the_role_that_an_error_names_is_enough() {
        for need in [Need::Read, Need::Route, Need::Work, Need::Operate, Need::Approve, Need::Administer] {
            assert!(need.role().is_some_and(|role| role.meets(need)), "{need:?}");
        }
    }

    #[test]
    fn a_token_is_for_its_migrations_or_for_all() {
        let orders = Key::parse("orders").expect("a key");
        let some = Principal::holder("shop", [Role::Sdk], [orders], "");
        assert!(some.covers("orders") && !some.covers("orders2") && !some.covers(""));
        assert!(Principal::holder("ada", [Role::Viewer], [], "").covers("users"));
        assert!(Principal::anybody().covers("users") && Principal::anybody().may(Need::Administer));
    }

    #[test]
    fn a_person_takes_no_part_in_routing_and_is_told_apart_from_a_token() {
        let vouched = Vouched { until_ms: 1, key: String::new(), account: None };
        let ada = Principal::person("ada@example.com", [Role::Admin], vouched, "");
        assert!(ada.may(Need::Operate) && ada.may(Need::Administer) && !ada.may(Need::Route));
        assert!(ada.refusal("call Watch", Need::Route).contains("token create"));
        assert_eq!(ada.actor().as_deref(), Some("oidc:ada@example.com"));
        let token = Principal::holder("ada@example.com", [Role::Admin], [], "");
        assert_eq!(token.actor().as_deref(), Some("token:ada@example.com"));
        assert_eq!(Principal::anybody().actor(), None);
        assert!(is_proven("oidc:ada@example.com") && is_proven("token:ada") && !is_proven("operator:ada"));
    }
}
