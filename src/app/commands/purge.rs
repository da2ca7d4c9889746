//! The command `purge`: counts the entries, asks, removes them, and prints which replicas have confirmed.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::admin_port::AdminPort;
use super::terminal::{Mark, Marks};
use super::{AdminArgs, CommandError, OutputFormat, block_on, print};

/// Arguments of `purge`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  connector-cache purge --flow B2X_1_signup            count the entries of a flow, ask, and remove them
  connector-cache purge --tenant 11111111-2222-3333-4444-555555555555 --yes --output json

Exit codes: 0 removed, and confirmed by all replicas, or nothing to purge; 1 the answer to the question is no, a replica did not \
confirm, or no purge; 64 invalid usage, such as no terminal and no --yes.")]
pub struct PurgeArgs {
    /// Id of a user flow. Without --flow, --tenant and --subject, all entries are removed.
    #[arg(long, value_name = "ID")]
    flow: Option<String>,
    /// Tenant: the GUID of the claim tid.
    #[arg(long, value_name = "GUID")]
    tenant: Option<String>,
    /// Subject: the GUID of the claim oid, or the claim sub.
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Do not ask. Required if standard input is not a terminal.
    #[arg(long)]
    yes: bool,
    /// Form of the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
    #[command(flatten)]
    admin: AdminArgs,
}

/// Returns whether the entries were removed, and all replicas have confirmed it.
pub fn run(args: &PurgeArgs, env: Vec<(String, String)>) -> Result<bool, CommandError> {
    let marks = Marks::for_stdout(&env);
    let port = AdminPort::new(&args.admin, env.into_iter(), TIMEOUT)?;
    let path = args.path();
    let found = block_on(port.json(Method::GET, &path))?;
    let matching = count(&found, if path.contains('?') { "matching" } else { "entries" })?;
    if !args.yes {
        let question = args.describe(matching);
        require_terminal(&question)?;
        if matching == 0 {
            match args.output {
                OutputFormat::Json => print("{\"matching\":0,\"purged\":0}\n")?,
                OutputFormat::Text => print(NOTHING)?,
            }
            return Ok(true);
        }
        if !confirm(&question)? {
            print("Nothing was removed.\n")?;
            return Ok(false);
        }
    }
    let result = block_on(port.json(Method::DELETE, &path))?;
    let purged = count(&result, "purged")?;
    let unconfirmed = names(&result["unconfirmed"]);
    match args.output {
        OutputFormat::Json => print(&format!("{}\n", object(matching, &result)))?,
        OutputFormat::Text => print(&text(marks, purged, &result, &unconfirmed))?,
    }
    Ok(unconfirmed.is_empty() && result["complete"] != false)
}

impl PurgeArgs {
    /// Returns the target of both requests.
    fn path(&self) -> String {
        let mut query = Serializer::new(String::new());
        for (name, value) in [("flow", &self.flow), ("tenant", &self.tenant), ("subject", &self.subject)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { "/cache".to_owned() } else { format!("/cache?{query}") }
    }

    fn describe(&self, matching: u64) -> String {
        let selected =
            if self.path().contains('?') { "that match the selection" } else { "(all are selected)" };
        format!("Entries in the memory of this replica {selected}: {matching}.")
    }
}

/// Refuses a purge without `--yes` and without a terminal: that is a fault of the script, whatever the memory has.
fn require_terminal(question: &str) -> Result<(), CommandError> {
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(CommandError::Usage(format!(
        "{question} Nothing was removed: without a terminal, add --yes to remove them"
    )))
}

/// Asks on the terminal.
fn confirm(question: &str) -> Result<bool, CommandError> {
    let mut errors = std::io::stderr();
    let mut answer = String::new();
    let asked = write!(errors, "{question} Remove them? [y/N] ").and_then(|()| errors.flush());
    asked
        .and_then(|()| std::io::stdin().read_line(&mut answer))
        .map_err(|error| CommandError::Failure(format!("the answer cannot be read: {error}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn text(marks: Marks, purged: u64, result: &Value, unconfirmed: &[String]) -> String {
    let mut text = match (purged, result["replicas"].as_u64()) {
        (0, None) => format!("{} no response matches; nothing to purge\n", marks.mark(Mark::Good)),
        _ => format!("{} {} removed\n", marks.mark(Mark::Good), entries(purged)),
    };
    if let (Some(confirmed), Some(replicas)) = (result["confirmed"].as_u64(), result["replicas"].as_u64()) {
        let mark = if unconfirmed.is_empty() { Mark::Good } else { Mark::Bad };
        let _ = writeln!(text, "{} {confirmed} of {replicas} replicas have confirmed", marks.mark(mark));
    }
    if result["complete"] == false {
        let _ = writeln!(
            text,
            "{} incomplete: the store could not be read, so there may be other replicas. They receive the purge when the \
             store works again; see docs/fleet.md#what-an-operator-sees",
            marks.mark(Mark::Bad)
        );
    }
    for name in unconfirmed {
        let _ = writeln!(
            text,
            "{} not-confirmed: {name}. Its memory stays as it was until it reads the log of the store again; see \
             docs/fleet.md#what-an-operator-sees",
            marks.mark(Mark::Bad)
        );
    }
    text
}

fn object(matching: u64, result: &Value) -> Value {
    let mut object = json!({ "matching": matching });
    if let (Some(object), Some(result)) = (object.as_object_mut(), result.as_object()) {
        object.extend(result.clone());
    }
    object
}

fn count(body: &Value, name: &str) -> Result<u64, CommandError> {
    let missing = || {
        let version = env!("CARGO_PKG_VERSION");
        CommandError::Failure(format!(
            "the response has no number {name}: expected connector-cache {version}"
        ))
    };
    body[name].as_u64().ok_or_else(missing)
}

/// Returns the names of replicas. They come from the store, so control characters are removed.
fn names(list: &Value) -> Vec<String> {
    let names = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| name.chars().filter(|char| !char.is_control()).collect()).collect()
}

fn entries(count: u64) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

/// Text if the memory of this replica has no entry to remove. Without a question: its answer could change nothing here.
const NOTHING: &str = "\
No response in the memory of this replica matches; nothing to purge. If replicas share a store, --yes purges at all of them.\n";
/// A purge visits every entry, and waits a second for other replicas.
const TIMEOUT: Duration = Duration::from_secs(15);
