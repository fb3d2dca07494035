//! `cutover history`: what happened, filtered as in the API and the console; and proof that nobody changed it.

mod checkpoint;
mod line;
mod verify;

use std::path::{Path, PathBuf};

use cutover_proto::v1;

use self::{checkpoint::Checkpoint, verify::Verified};
use super::{Global, connect::answer, exit::Failure, out, render};

/// What to show.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The migration; all without
    key: Option<String>,
    /// At most this many, 1 to 1000
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// Only those with this text in what happened, in the reason, the actor or the kind: a tenant, for example
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    find: String,
    /// Only those that this actor made, in full: operator:ana, guard:errors, plan, controller
    #[arg(long, value_name = "ACTOR", default_value = "", hide_default_value = true)]
    by: String,
    /// Only those of this kind, as --json names it in `change`: rollback, pin, ramp
    #[arg(long, value_name = "KIND", default_value = "", hide_default_value = true)]
    change: String,
    /// Only those before this revision
    #[arg(
        long,
        value_name = "REVISION",
        default_value_t = 0,
        hide_default_value = true,
        conflicts_with = "export"
    )]
    before: u64,
    /// All of it, oldest first, as JSON lines
    #[arg(long, conflicts_with = "limit")]
    export: bool,
    #[command(flatten)]
    proof: ProofArgs,
}

/// What is to be proven, and with which keys.
#[derive(Debug, clap::Args)]
struct ProofArgs {
    /// Prove that no event was changed, removed or moved: of the controller, or of a file that --export wrote
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        conflicts_with_all = ["key", "limit", "find", "by", "change", "before", "export", "signing_key"]
    )]
    verify: Option<Option<PathBuf>>,
    /// Verify the controller's history, and write a signed checkpoint of its newest event to this file; with --verify:
    /// the checkpoint that the history has to contain
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["key", "limit", "find", "by", "change", "before", "export"]
    )]
    checkpoint: Option<PathBuf>,
    /// Private key that signs the checkpoint: Ed25519, PKCS#8 PEM
    #[arg(id = "signing_key", long = "key", value_name = "FILE", requires = "checkpoint")]
    signing_key: Option<PathBuf>,
    /// Public key of who signed the checkpoint: Ed25519, PEM
    #[arg(long, value_name = "FILE", requires_all = ["verify", "checkpoint"])]
    public_key: Option<PathBuf>,
}

impl ProofArgs {
    async fn run(self, global: &Global) -> anyhow::Result<()> {
        let Self { verify, checkpoint, signing_key, public_key } = self;
        let Some(file) = verify else {
            let missing = || Failure::usage("--checkpoint needs --key FILE, the private key that signs it");
            let (path, key) = checkpoint.zip(signing_key).ok_or_else(missing)?;
            return sign(global, &path, &key).await;
        };
        let checkpoint = match (checkpoint, public_key) {
            (Some(path), Some(key)) => Some(Checkpoint::read(&path, &key)?),
            (Some(_), None) => {
                let missing = "--verify --checkpoint needs --public-key FILE, the key of who signed it";
                return Err(Failure::usage(missing).into());
            }
            (None, _) => None,
        };
        let verified = match file {
            Some(path) => Verified::file(&path, checkpoint)?,
            None => Verified::controller(global, checkpoint).await?,
        };
        verified.show(global.json);
        Ok(())
    }
}

/// Nobody should sign a history that does not fit.
async fn sign(global: &Global, path: &Path, key: &Path) -> anyhow::Result<()> {
    let key = checkpoint::private_key(key)?;
    let verified = Verified::controller(global, None).await?;
    verified.newest()?.write(path, &key)?;
    verified.show(global.json);
    if !global.json {
        out::line(&format!("signed in {}", path.display()));
    }
    Ok(())
}

pub(super) async fn run(global: &Global, asked: Args) -> anyhow::Result<()> {
    let Args { key, limit, find, by, change, before, export, proof } = asked;
    if proof.verify.is_some() || proof.checkpoint.is_some() {
        return proof.run(global).await;
    }
    let is_filtered = [&find, &by, &change].iter().any(|filter| !filter.is_empty()) || before > 0;
    let key = key.unwrap_or_default();
    let mut admin = global.admin().await?;
    let mut asked = v1::ListHistoryRequest { key, find, by, change, before, ..Default::default() };
    (asked.oldest_first, asked.proofs) = (export, export);
    asked.page_size = if export { 1000 } else { limit };
    let mut shown = 0;
    // Page after page: a history of any length goes through, and one answer searches a bounded part.
    loop {
        let page = answer(admin.list_history(asked.clone())).await?;
        if export && asked.after < page.dropped_through {
            tell_dropped(&page);
        }
        for event in &page.events {
            if export {
                out::json(&line::written(event)?);
            } else if global.json {
                out::json(&render::event_json(event));
            } else {
                render::event_lines(event).iter().for_each(|line| out::text(line));
            }
        }
        shown += page.events.len() as u32;
        if page.next == 0 && !export {
            if shown == 0 && !global.json {
                out::line(match (is_filtered, page.dropped_through) {
                    (true, _) => "no change matches: cutover history shows all",
                    (false, 0) => "nothing has happened: cutover list shows the migrations",
                    (false, _) => "no change is kept",
                });
            }
            tell_dropped(&page);
        }
        if page.next == 0 || (shown >= limit && !export) {
            return Ok(());
        }
        if export {
            asked.after = page.next;
        } else {
            (asked.before, asked.page_size) = (page.next, limit - shown);
        }
    }
}

/// Where what is kept begins, on stderr: stdout may be read by a program.
fn tell_dropped(page: &v1::ListHistoryResponse) {
    if page.dropped_through > 0 {
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_millis(page.dropped_at_ms);
        out::error(&format!(
            "events up to revision {} were dropped, the last of them on {} (cutover serve --keep-history-days, \
             --keep-history-events). Files written by cutover history --export still have them.",
            page.dropped_through,
            humantime::format_rfc3339_seconds(at),
        ));
    }
}
