//! The command `explain`: how a request would be treated, and why, without sending anything.
//!
//! The parsers are those of the proxy: [`validate::check`], [`Resource::parse`], [`Identity::from_headers`] and
//! [`Token::claims`](crate::auth::Token::claims) decide, in this order. The output shows no token and no claim in full, so that it can be pasted.

mod comparison;
mod explanation;
mod keys;
mod render;
mod shorten;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use http::{HeaderValue, Request, Uri, header};
use zeroize::Zeroizing;

use self::explanation::Explanation;
use super::terminal::Marks;
use super::{CommandError, OutputFormat, print, token_file_error};
use crate::config::Config;
use crate::support::clock::Clock;

/// Arguments of `explain`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  connector-cache explain '/beta/identity/b2xUserFlows/B2X_1_signup/apiConnectorConfiguration?$expand=postAttributeCollection'
  az account get-access-token --resource-type ms-graph --query accessToken -o tsv \\
    | connector-cache explain https://cache.example/beta/identity/b2xUserFlows/B2X_1_signup/apiConnectorConfiguration --token-file -

Exit codes: 0 the request is accepted, and the cache may be used for its token; 1 no; 64 invalid usage or configuration.")]
pub struct ExplainArgs {
    /// URL of the request, or its path and query.
    #[arg(value_name = "URL")]
    url: String,
    /// File with the token of the request, with or without `Bearer`; `-` is standard input. Without it, only the URL is judged.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File with another token: show which parts of the keys differ.
    #[arg(long, value_name = "FILE", requires = "token_file")]
    compare: Option<PathBuf>,
    /// Value of the field Accept.
    #[arg(long, value_name = "VALUE")]
    accept: Option<String>,
    /// Form of the result.
    #[arg(long, value_enum, default_value_t)]
    output: OutputFormat,
    /// TOML file of the proxy. Without it, the configuration consists of built-in defaults and the environment.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Returns whether the request is accepted, and the cache may be used for its token.
pub fn run(args: &ExplainArgs, env: Vec<(String, String)>) -> Result<bool, CommandError> {
    let marks = Marks::for_stdout(&env);
    let config = Config::load(args.config.as_deref(), env.into_iter())
        .map_err(|error| CommandError::Usage(format!("the configuration is refused:\n{error}")))?;
    let token = args.token_file.as_deref().map(|path| read_token("--token-file", path)).transpose()?;
    let other = args.compare.as_deref().map(|path| read_token("--compare", path)).transpose()?;
    let mut request = Request::new(());
    *request.uri_mut() = parse_target(&args.url)?;
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
    if let Some(accept) = &args.accept {
        let value = HeaderValue::try_from(accept)
            .map_err(|_| CommandError::Usage("--accept is no value of a header field".to_owned()))?;
        request.headers_mut().insert(header::ACCEPT, value);
    }
    let (head, ()) = request.into_parts();
    let explanation = Explanation::new(&config, &head, (token, other), Clock::system().now())?;
    print(&match args.output {
        OutputFormat::Json => format!("{}\n", explanation.to_json()),
        OutputFormat::Text => explanation.to_text(marks),
    })?;
    Ok(explanation.is_good())
}

/// Returns path and query of a URL. The message does not show the URL, which may contain anything.
fn parse_target(url: &str) -> Result<Uri, CommandError> {
    let parsed = url.parse::<Uri>().ok().and_then(|uri| {
        let target = uri.path_and_query()?.clone();
        (uri.path().starts_with('/')).then(|| Uri::from(target))
    });
    parsed.ok_or_else(|| {
        CommandError::Usage(
            "the URL is no request target: expected https://HOST/PATH?QUERY or /PATH?QUERY, a blank as %20"
                .to_owned(),
        )
    })
}

/// Reads a token, and returns the value of `Authorization`.
fn read_token(argument: &str, path: &Path) -> Result<HeaderValue, CommandError> {
    let refuse = |reason: &str| token_file_error(argument, path, reason);
    let mut bytes = Zeroizing::new(Vec::new());
    let read = if path == Path::new("-") {
        std::io::stdin().take(MAX_TOKEN_BYTES).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_TOKEN_BYTES).read_to_end(&mut bytes))
    };
    read.map_err(|error| refuse(&format!("the file cannot be read: {error}")))?;
    let token = bytes.trim_ascii();
    let has_scheme = token.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"Bearer "));
    let value = if has_scheme { token.to_vec() } else { [b"Bearer ", token].concat() };
    let mut value = HeaderValue::try_from(value).map_err(|_| refuse("expected a token in one line"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// More than the limit of a header section.
const MAX_TOKEN_BYTES: u64 = 256 << 10;
