//! `serve`: the HTTP service.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;

use verimetry_engine::Error;

use super::options::bytes;
use super::{Outcome, Session};
use crate::failure::Failure;
use crate::http::{self, Limits, Settings};
use crate::jobs::Engine;
use crate::keys::{self, Key};
use crate::signal;

/// Judge orders over HTTP
#[derive(clap::Args)]
#[command(after_help = "Examples:
  verimetry serve --data /var/lib/verimetry
  curl -F order=@order.toml -F design.stl=@design.stl -F scan.stl=@scan.stl -H 'Prefer: wait=120' http://127.0.0.1:8080/v1/judgements
  curl -H 'Accept: text/html' http://127.0.0.1:8080/v1/judgements/ID > report.html

A folder of the order is sent as several parts of the folder's name. Accepted judgements survive a kill of the server and are issued once.
This version has no API keys: whoever reaches the address may submit orders and read judgements. So it listens on loopback only, unless
--allow-remote says that something in front of it decides who reaches it.")]
pub(super) struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Folder for the job database, uploads and judgements; made where there is none
    #[arg(long, value_name = "DIR", default_value = "verimetry-data")]
    data: PathBuf,
    /// Ed25519 key to sign with [default: one made and kept in the data folder]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Largest request
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = bytes)]
    max_upload: u64,
    /// Judgements computed at the same time
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: u16,
    /// Listen on an address that others can reach, without any access control of its own
    #[arg(long)]
    allow_remote: bool,
}

pub(super) fn run(args: &Args, session: &Session) -> Result<Outcome, Failure> {
    let listener = TcpListener::bind(addresses(args)?.as_slice())
        .map_err(|e| Failure::resource("service.socket", format_args!("cannot listen on {}: {e}", args.listen)))?;
    let key = match &args.key {
        Some(path) => Key::read(path).map_err(Error::from)?,
        None => keys::users_key_at(&args.data.join("signing-key.pem")).map_err(Error::from)?.0,
    };
    let settings = Settings {
        listener,
        data: args.data.clone(),
        key,
        engine: Engine {
            judge: verimetry_engine::judge::judge,
            backend: session.common.backend.into(),
            memory_bytes: session.common.memory,
        },
        limits: Limits { upload_bytes: args.max_upload, ..Limits::default() },
        workers: args.workers.into(),
        allow_remote: args.allow_remote,
    };
    http::serve(
        settings,
        |address| session.note(&format!("listening on http://{address}, data in {}", args.data.display())),
        signal::interrupted(),
    )?;
    Ok(Outcome::Done)
}

/// The addresses of the name given, all of them loopback unless more is allowed.
fn addresses(args: &Args) -> Result<Vec<SocketAddr>, Failure> {
    let wrong = |e| Failure::usage("service.listen", format_args!("--listen {}: {e}; give HOST:PORT, such as 127.0.0.1:8080", args.listen));
    let addresses: Vec<SocketAddr> = args.listen.to_socket_addrs().map_err(wrong)?.collect();
    if !args.allow_remote && addresses.iter().any(|a| !a.ip().is_loopback()) {
        let what = format_args!(
            "--listen {} can be reached from elsewhere and this version has no API keys; add --allow-remote if that is wanted",
            args.listen
        );
        return Err(Failure::usage("service.remote", what));
    }
    Ok(addresses)
}
