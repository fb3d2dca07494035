//! Tokens: who may call.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::anyhow;
use cutover_proto::v1;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::{Global, actor_or_user, connect::answer, duration, exit::Failure, out, render};
use crate::{domain::Role, server};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Make a token, and print its text, which can't be shown again
    ///
    /// The first one must be an admin's, made with --store while the controller is stopped. From its start on every call
    /// needs a token.
    Create(Create),
    /// List tokens: what each is for, when it expires and when it was last used
    List,
    /// Give a token another text, and print it
    Rotate {
        /// Its name
        name: String,
        /// How long the old text is still accepted
        #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration::parse)]
        keep_old: Duration,
        /// When it expires [default: as before]
        #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
        expires: Option<Duration>,
        #[command(flatten)]
        to: To,
        #[command(flatten)]
        who: Who,
    },
    /// End a token at once
    Revoke {
        /// Its name
        name: String,
        #[command(flatten)]
        who: Who,
    },
    /// Show who made, rotated and revoked which token
    History {
        /// Maximum entries
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Its name, which the history shows: a-z, 0-9, '.', '_', '-'
    name: String,
    /// What its holder may do: sdk, viewer, worker, operator, approver or admin; may be repeated
    #[arg(long = "role", value_name = "ROLE", required = true, value_parser = role)]
    roles: Vec<Role>,
    /// With the role sdk: only for this migration; may be repeated [default: all]
    #[arg(long = "migration", value_name = "KEY")]
    migrations: Vec<String>,
    /// After how long it expires [default: never]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    expires: Option<Duration>,
    /// Make an admin's token in this store instead, while no controller runs on it; without URL, in that of CUTOVER_STORE
    #[arg(long, value_name = "URL", num_args = 0..=1, value_parser = store_url, conflicts_with_all = ["migrations", "expires"])]
    store: Option<Option<String>>,
    #[command(flatten)]
    to: To,
    #[command(flatten)]
    who: Who,
}

#[derive(Debug, clap::Args)]
pub(super) struct To {
    /// Write the text to this file, for its owner alone, instead of printing it; an older text is replaced only once
    /// the new one is there
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Who {
    /// Why; kept in the history of tokens
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// What is left of a token's time is shown half a minute longer than it is.
const ROUND_MS: u64 = 30_000;

/// Not a name that follows `--store`.
fn store_url(text: &str) -> Result<String, String> {
    match text.contains(':') {
        true => Ok(text.to_owned()),
        false => Err("is not the URL of a store: give sqlite:PATH, postgres://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE or dynamodb://TABLE, or give NAME before --store".to_owned()),
    }
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|violation: crate::domain::Violation| violation.message)
}

impl Verb {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(create) => create.run(global).await?,
            Self::List => list(global).await?,
            Self::Rotate { name, keep_old, expires, to, who } => {
                let to = to.open()?;
                let request = v1::RotateTokenRequest {
                    name: name.clone(),
                    keep_ms: keep_old.as_millis() as u64,
                    expires_ms: expires.map_or(0, from_now),
                    actor: actor_or_user(None),
                    reason: who.reason,
                };
                let rotated = answer(global.tokens().await?.rotate_token(request)).await?;
                made(global, to, &name, &rotated.text)?;
            }
            Self::Revoke { name, who } => {
                let (actor, reason) = (actor_or_user(None), who.reason);
                let request = v1::RevokeTokenRequest { name: name.clone(), actor, reason };
                answer(global.tokens().await?.revoke_token(request)).await?;
                if global.json {
                    out::json(&json!({ "revoked": name }));
                } else {
                    out::line(&format!("revoked {name}"));
                }
            }
            Self::History { limit } => history(global, limit).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Create {
    async fn run(self, global: &Global) -> anyhow::Result<()> {
        let Self { name, roles, migrations, expires, store, to, who } = self;
        let to = to.open()?;
        let actor = actor_or_user(None);
        if let Some(store) = store {
            if roles != [Role::Admin] {
                let message = "--store makes admins' tokens only: give --role admin, and make the others with that token";
                return Err(Failure::usage(message).into());
            }
            let of_environment = || std::env::var("CUTOVER_STORE").ok().filter(|url| !url.is_empty());
            let Some(store) = store.or_else(of_environment) else {
                return Err(Failure::usage(
                    "--store has no URL, and CUTOVER_STORE is not set: give one of them",
                )
                .into());
            };
            let text = server::create_admin(&store, &name, &actor, &who.reason).await?;
            return made(global, to, &name, text.expose_secret());
        }
        let request = v1::CreateTokenRequest {
            name: name.clone(),
            roles: roles.into_iter().map(|role| to_wire(role).into()).collect(),
            migrations,
            expires_ms: expires.map_or(0, from_now),
            actor,
            reason: who.reason,
        };
        let created = answer(global.tokens().await?.create_token(request)).await?;
        made(global, to, &name, &created.text)
    }
}

/// A file that is ready to be written, so that nothing fails once the text is there.
struct Ready {
    path: PathBuf,
    file: tempfile::NamedTempFile,
}

impl To {
    /// Before the token is made: a text that can't be written is lost.
    fn open(self) -> anyhow::Result<Option<Ready>> {
        let Some(path) = self.out else { return Ok(None) };
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        // With mode 600, and removed again if it is not needed.
        let file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")));
        let file =
            file.map_err(|error| Failure::usage(format!("can't write {}: {error}", path.display())))?;
        Ok(Some(Ready { path, file }))
    }
}

/// The text alone is on stdout, or in the file.
fn made(global: &Global, to: Option<Ready>, name: &str, text: &str) -> anyhow::Result<()> {
    if let Some(Ready { path, mut file }) = to {
        let written = writeln!(file, "{text}").and_then(|()| file.as_file().sync_all());
        let written = written.and_then(|()| Ok(file.persist(&path)?));
        let place = path.display();
        written.map_err(|error| {
            anyhow!("token {name} was made, but its text can't be written to {place}: {error}. Rotate it")
        })?;
        if global.json {
            out::json(&json!({ "name": name, "file": place.to_string() }));
        } else {
            out::line(&format!("wrote token {name} to {place}"));
        }
        return Ok(());
    }
    if global.json {
        out::json(&json!({ "name": name, "token": text }));
        return Ok(());
    }
    out::line(text);
    out::error(&format!(
        "This is token {name}. It can't be shown again. Use it with --token-file FILE or CUTOVER_TOKEN"
    ));
    Ok(())
}

async fn list(global: &Global) -> anyhow::Result<()> {
    let listed = answer(global.tokens().await?.list_tokens(v1::ListTokensRequest {})).await?;
    let v1::ListTokensResponse { tokens, at_ms } = listed;
    if global.json {
        tokens.iter().for_each(|token| out::json(&token_json(token)));
        return Ok(());
    }
    if tokens.is_empty() {
        out::line(
            "no tokens: everybody who reaches the controller may do everything. Stop it, and make the first one: cutover token create NAME --role admin --store URL",
        );
        return Ok(());
    }
    let span = cutover_core::text::span;
    let rows: Vec<[String; 6]> = tokens
        .into_iter()
        .map(|token| {
            let expires = match token.expires_ms {
                0 => "never".to_owned(),
                ms if ms <= at_ms => format!("{} ago", span(at_ms - ms)),
                // A token for 90 days has 90 days left when it is listed at once.
                ms => format!("in {}", span(ms - at_ms + ROUND_MS)),
            };
            let used = match token.used_ms {
                0 => "never".to_owned(),
                ms => format!("{} ago", span(at_ms.saturating_sub(ms))),
            };
            let migrations =
                if token.migrations.is_empty() { "all".to_owned() } else { token.migrations.join(",") };
            [token.name.clone(), roles(&token).join(","), migrations, expires, used, token.created_by]
        })
        .collect();
    let head = ["TOKEN", "ROLES", "MIGRATIONS", "EXPIRES", "USED", "MADE BY"];
    render::table(head, &rows).iter().for_each(|line| out::line(line));
    Ok(())
}

async fn history(global: &Global, limit: u32) -> anyhow::Result<()> {
    let request = v1::ListTokenEventsRequest { before: 0, page_size: limit };
    let listed = answer(global.tokens().await?.list_token_events(request)).await?;
    for v1::TokenEvent { number, at_ms, actor, reason, change, token, summary } in listed.events {
        if global.json {
            out::json(&json!({
                "number": number, "at_ms": at_ms, "actor": actor, "reason": reason, "change": change,
                "token": token, "summary": summary,
            }));
        } else {
            let reason =
                if reason.is_empty() { String::new() } else { format!(": {}", out::one_line(&reason)) };
            out::line(&format!("{}  {actor}  {summary}{reason}", render::time(at_ms)));
        }
    }
    Ok(())
}

fn roles(token: &v1::Token) -> Vec<&'static str> {
    role_names(&token.roles)
}

/// Roles as the command line takes them.
pub(super) fn role_names(roles: &[i32]) -> Vec<&'static str> {
    let name = |role: i32| Role::ALL.into_iter().find(|known| i32::from(to_wire(*known)) == role);
    roles.iter().map(|role| name(*role).map_or("unknown", Role::name)).collect()
}

fn token_json(token: &v1::Token) -> Value {
    let some = |ms: u64| (ms > 0).then_some(ms);
    json!({
        "name": token.name, "roles": roles(token), "migrations": token.migrations,
        "created_ms": token.created_ms, "created_by": token.created_by, "expires_ms": some(token.expires_ms),
        "used_ms": some(token.used_ms), "previous_until_ms": some(token.previous_until_ms),
    })
}

const fn to_wire(role: Role) -> v1::Role {
    match role {
        Role::Sdk => v1::Role::Sdk,
        Role::Viewer => v1::Role::Viewer,
        Role::Worker => v1::Role::Worker,
        Role::Operator => v1::Role::Operator,
        Role::Approver => v1::Role::Approver,
        Role::Admin => v1::Role::Admin,
    }
}

/// Unix time in this long, in milliseconds.
fn from_now(span: Duration) -> u64 {
    let now = cutover_client::clock::now_ms();
    now.saturating_add(span.as_millis() as u64)
}
