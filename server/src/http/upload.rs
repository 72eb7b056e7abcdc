//! An upload: the order first, then its files, streamed to disk under numbers and named only after their names were found in the order.
//!
//! A file is a part named as the order names it. A folder is several parts of the folder's name, told apart by their file names, or parts named
//! `folder/member`. A part whose own name says nothing may give the order's name as its file name (`curl -F f=@design.stl`).
//! Bounded: bytes of the request, number of parts, length of names, time between two pieces, and what the parser may hold back.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;

use axum::body::{Body, Bytes};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use futures_util::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;
use verimetry_engine::order::{self, Order, Shape};

use super::problem::Problem;
use super::{Limits, Service};
use crate::failure::Failure;
use crate::staging;
use crate::store::ORDER_FILE;

/// Largest order; geometry comes in files of its own.
const ORDER_BYTES: usize = 1 << 20;
/// What the multipart parser may hold without handing it on: headers of a part, and what came in one piece.
const HELD_BYTES: u64 = 4 << 20;
/// Boundary and headers of a part, which are never handed on.
const HEADER_BYTES: u64 = 1 << 10;

/// An upload whose files stand in their job's folder. They are removed again unless [`Upload::keep`] is called.
pub(super) struct Upload {
    pub id: Uuid,
    pub order_id: String,
    /// Digest over names and digests of all parts: equal for equal requests, whatever their order of parts.
    pub request_sha256: String,
    folder: PathBuf,
    kept: bool,
}

impl Upload {
    pub fn keep(mut self) -> Uuid {
        self.kept = true;
        self.id
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.kept {
            // What stays behind is removed at the next start.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// One part on the disk.
struct Part {
    path: PathBuf,
    sha256: String,
    /// The name inside a folder, where one was given.
    member: Option<String>,
    /// The part's name said `folder/member`.
    is_member: bool,
}

pub(super) async fn receive(service: &Service, request: Request) -> Result<Upload, Problem> {
    let limits = service.limits;
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()).and_then(|l| l.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limits.upload_bytes) {
        return Err(too_large(limits));
    }
    let id = Uuid::now_v7();
    let incoming = service.jobs.store.incoming(id);
    let mut upload = Upload { id, order_id: String::new(), request_sha256: String::new(), folder: incoming.clone(), kept: false };
    tokio::fs::create_dir_all(incoming.join("parts")).await.map_err(|e| disk(&incoming, &e))?;

    let (request, flow) = counted(request, limits.upload_bytes);
    let mut multipart = Multipart::from_request(request, &()).await.map_err(|e| {
        let detail = format!("allowed is multipart/form-data with the part \"order\" first: {}", e.body_text());
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "upload.not_multipart", detail)
    })?;
    let mut reader = Reader { flow, limits, folder: incoming.join("parts"), parts: 0 };
    let (order_bytes, order) = reader.order(&mut multipart).await?;
    let names = names(&order)?;
    let mut parts: BTreeMap<String, Vec<Part>> = BTreeMap::new();
    while let Some(field) = reader.next(&mut multipart).await? {
        let (name, part) = reader.part(field, &names).await?;
        parts.entry(name).or_default().push(part);
    }
    if let Some(missing) = names.iter().find(|n| !parts.contains_key(*n)) {
        let detail = format!("the order names {missing:?} but no part is named so");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "upload.missing", detail));
    }
    upload.order_id = order.order.id.clone();
    upload.request_sha256 = digest_of_all(&order_bytes, &parts);
    let (target, source) = (service.jobs.store.folder(id), incoming);
    let arranged = tokio::task::spawn_blocking(move || arrange(&source, &target, &order_bytes, parts).map(|()| target)).await;
    upload.folder = arranged.map_err(|e| Problem::from(Failure::defect(e)))??;
    Ok(upload)
}

/// The files that an order names, each once, as it names them.
fn names(order: &Order) -> Result<BTreeSet<String>, Problem> {
    let regions = order.region.iter().filter_map(|r| match &r.shape {
        Shape::Mesh(file) => Some(file),
        _ => None,
    });
    let site = order.site.iter().map(|s| &s.file);
    let struts = order.lattice.iter().filter_map(|l| l.struts.as_ref());
    let names: BTreeSet<String> =
        [&order.nominal.file, &order.actual.file].into_iter().chain(site).chain(struts).chain(regions).cloned().collect();
    for name in &names {
        let nested = |other: &String| other != name && Path::new(other).starts_with(name);
        if !name.split('/').all(is_plain) || Path::new(name).starts_with(ORDER_FILE) || names.iter().any(nested) {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "upload.name",
                format!("the order's file name {name:?} cannot be uploaded"),
            ));
        }
    }
    Ok(names)
}

/// One component of a path that means the same on every system and nothing special.
fn is_plain(component: &str) -> bool {
    let special = matches!(component, "" | "." | "..") || component.len() > 255;
    !special && !component.contains(['/', '\\', ':']) && !component.chars().any(char::is_control)
}

/// Which file of the order a part is, and its name inside it where it is a folder.
fn place(part: &str, file: Option<&str>, names: &BTreeSet<String>) -> Result<(String, Option<String>, bool), Problem> {
    for given in [Some(part), file].into_iter().flatten() {
        if !given.is_empty() && !given.split('/').all(is_plain) {
            let detail = format!("the name {:?} is not allowed; use the names of the order", given.chars().take(100).collect::<String>());
            return Err(Problem::bad_request("upload.name", detail));
        }
    }
    if names.contains(part) {
        return Ok((part.to_owned(), file.and_then(|f| f.rsplit('/').next()).map(str::to_owned), false));
    }
    for given in [Some(part), file].into_iter().flatten() {
        if names.contains(given) {
            return Ok((given.to_owned(), None, false));
        }
        if let Some((folder, member)) = given.rsplit_once('/').filter(|(folder, _)| names.contains(*folder)) {
            return Ok((folder.to_owned(), Some(member.to_owned()), true));
        }
    }
    let known = names.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ");
    let shown: String = part.chars().take(100).collect();
    Err(Problem::bad_request("upload.unknown", format!("the order names no file {shown:?}; it names {known}")))
}

/// Puts every part where the order expects it, durably, and the whole where the job belongs.
fn arrange(incoming: &Path, target: &Path, order: &[u8], parts: BTreeMap<String, Vec<Part>>) -> Result<(), Problem> {
    let inputs = incoming.join("inputs");
    let failed = |e: std::io::Error| disk(target, &e);
    std::fs::create_dir_all(&inputs).map_err(failed)?;
    let order_file = inputs.join(ORDER_FILE);
    std::fs::write(&order_file, order).and_then(|()| staging::sync(&order_file)).map_err(failed)?;
    for (name, parts) in parts {
        let place = inputs.join(&name);
        let is_file = parts.len() == 1 && !parts[0].is_member;
        let folder = if is_file { place.parent().unwrap_or(&inputs) } else { &place };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut taken = BTreeSet::new();
        for part in parts {
            let to = match (is_file, part.member) {
                (true, _) => place.clone(),
                (false, Some(member)) if taken.insert(member.clone()) => place.join(member),
                (false, _) => {
                    let detail = format!("several parts are named {name:?}; as members of a folder each needs a file name of its own");
                    return Err(Problem::bad_request("upload.duplicate", detail));
                }
            };
            std::fs::rename(&part.path, to).map_err(failed)?;
        }
        staging::sync(folder).map_err(failed)?;
    }
    std::fs::remove_dir(incoming.join("parts")).map_err(failed)?;
    staging::sync(&inputs).map_err(failed)?;
    std::fs::rename(incoming, target).map_err(failed)?;
    match target.parent() {
        Some(jobs) => staging::sync(jobs).map_err(failed),
        None => Ok(()),
    }
}

fn digest_of_all(order: &[u8], parts: &BTreeMap<String, Vec<Part>>) -> String {
    let mut lines = vec![format!("order {}", hex(&Sha256::digest(order)))];
    for (name, parts) in parts {
        lines.extend(parts.iter().map(|p| format!("{name:?} {:?} {}", p.member.as_deref().unwrap_or_default(), p.sha256)));
    }
    lines.sort();
    hex(&Sha256::digest(lines.join("\n")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads fields within the limits.
struct Reader {
    flow: Arc<Flow>,
    limits: Limits,
    folder: PathBuf,
    parts: usize,
}

impl Reader {
    async fn next<'m>(&mut self, multipart: &'m mut Multipart) -> Result<Option<Field<'m>>, Problem> {
        self.parts += 1;
        if self.parts > self.limits.parts + 1 {
            let detail = format!("more than {} parts; send fewer", self.limits.parts);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "upload.parts", detail));
        }
        let next = tokio::time::timeout(self.limits.stall, multipart.next_field()).await.map_err(|_| stalled())?;
        self.flow.taken.fetch_add(HEADER_BYTES, Ordering::Relaxed);
        next.map_err(|e| self.refuse(&e))
    }

    async fn piece(&self, field: &mut Field<'_>) -> Result<Option<Bytes>, Problem> {
        let piece = tokio::time::timeout(self.limits.stall, field.chunk()).await.map_err(|_| stalled())?;
        let piece = piece.map_err(|e| self.refuse(&e))?;
        self.flow.taken.fetch_add(piece.as_ref().map_or(0, |p| p.len() as u64), Ordering::Relaxed);
        Ok(piece)
    }

    async fn order(&mut self, multipart: &mut Multipart) -> Result<(Vec<u8>, Order), Problem> {
        let first = || Problem::bad_request("upload.order_first", "the first part is \"order\": the order in TOML or JSON");
        let mut field = self.next(multipart).await?.filter(|f| f.name() == Some("order")).ok_or_else(first)?;
        let mut bytes = Vec::new();
        while let Some(piece) = self.piece(&mut field).await? {
            if bytes.len() + piece.len() > ORDER_BYTES {
                let detail = format!("an order has at most {ORDER_BYTES} bytes; name geometry as files");
                return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "order.too_large", detail));
            }
            bytes.extend_from_slice(&piece);
        }
        let order = order::parse(&bytes, "order").map_err(|e| Problem::from(Failure::from(verimetry_engine::Error::from(e))))?;
        Ok((bytes, order))
    }

    async fn part(&mut self, mut field: Field<'_>, names: &BTreeSet<String>) -> Result<(String, Part), Problem> {
        let (name, member, is_member) = place(field.name().unwrap_or_default(), field.file_name(), names)?;
        let path = self.folder.join(self.parts.to_string());
        let failed = |e: std::io::Error| disk(&self.folder, &e);
        let mut file = tokio::fs::File::create_new(&path).await.map_err(failed)?;
        let mut digest = Sha256::new();
        while let Some(piece) = self.piece(&mut field).await? {
            digest.update(&piece);
            file.write_all(&piece).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        file.sync_all().await.map_err(failed)?;
        Ok((name, Part { path, sha256: hex(&digest.finalize()), member, is_member }))
    }

    fn refuse(&self, e: &MultipartError) -> Problem {
        if self.flow.exceeded.load(Ordering::Relaxed) {
            return too_large(self.limits);
        }
        Problem::bad_request("upload.malformed", format!("the multipart body cannot be read: {}", e.body_text()))
    }
}

/// What came in and what was handed on.
#[derive(Default)]
struct Flow {
    given: AtomicU64,
    taken: AtomicU64,
    exceeded: AtomicBool,
}

/// The request with a body that ends at the limit, and that pauses after every piece: the parser takes all it can get before it hands anything
/// on, so that what it holds is bounded only by looking at it in between.
fn counted(request: Request, limit: u64) -> (Request, Arc<Flow>) {
    let flow = Arc::new(Flow::default());
    let (head, body) = request.into_parts();
    let counted = count(body.into_data_stream(), flow.clone(), limit);
    (Request::from_parts(head, Body::from_stream(counted)), flow)
}

fn count(
    mut pieces: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin + Send + 'static,
    flow: Arc<Flow>,
    limit: u64,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static {
    let mut pause = false;
    futures_util::stream::poll_fn(move |cx| {
        if std::mem::take(&mut pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let piece = std::task::ready!(pieces.poll_next_unpin(cx));
        if let Some(Ok(bytes)) = &piece {
            pause = true;
            let given = flow.given.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
            if given > limit {
                flow.exceeded.store(true, Ordering::Relaxed);
                return Poll::Ready(Some(Err(axum::Error::new("the request is too large"))));
            }
            let held = given.saturating_sub(flow.taken.load(Ordering::Relaxed));
            if held > HELD_BYTES {
                return Poll::Ready(Some(Err(axum::Error::new("the headers of a part have no end"))));
            }
        }
        Poll::Ready(piece)
    })
}

fn too_large(limits: Limits) -> Problem {
    let detail = format!("the request has more than the {} bytes allowed", limits.upload_bytes);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "upload.too_large", detail)
}

fn stalled() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "upload.stalled", "the upload stopped for too long")
}

/// A fault of the service's own disk; where, is for the operator.
fn disk(path: &Path, e: &std::io::Error) -> Problem {
    let failure = Failure::unwritable(path, e);
    eprintln!("verimetry: {failure}");
    Problem::from(Failure::resource(
        if failure.code == "disk.full" { "disk.full" } else { "store.folder" },
        "the service cannot store the upload; try again later",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> BTreeSet<String> {
        ["ct", "design.stl", "scans/site.stl"].map(str::to_owned).into()
    }

    fn placed(part: &str, file: Option<&str>) -> Result<(String, Option<String>, bool), String> {
        place(part, file, &names()).map_err(|p| serde_json::to_value(p).unwrap()["code"].as_str().unwrap().to_owned())
    }

    #[test]
    fn parts_are_found_by_the_names_of_the_order() {
        let file = |name: &str, member: Option<&str>| Ok((name.to_owned(), member.map(str::to_owned), false));
        assert_eq!(placed("design.stl", Some("anything.stl")), file("design.stl", Some("anything.stl")));
        assert_eq!(placed("files", Some("design.stl")), file("design.stl", None));
        assert_eq!(placed("scans/site.stl", None), file("scans/site.stl", None));
        assert_eq!(placed("ct", Some("0001.dcm")), file("ct", Some("0001.dcm")));
        assert_eq!(placed("ct/0001.dcm", None), Ok(("ct".into(), Some("0001.dcm".into()), true)));
        assert_eq!(placed("files", Some("ct/0001.dcm")), Ok(("ct".into(), Some("0001.dcm".into()), true)));
    }

    #[test]
    fn names_that_leave_the_folder_or_are_not_in_the_order_are_refused() {
        for bad in ["../design.stl", "ct/../../x", "/etc/passwd", "ct\\x", "c:x", "ct//x", "ct/.", "a\nb"] {
            assert_eq!(placed(bad, None), Err("upload.name".into()), "{bad:?}");
            assert_eq!(placed("ct", Some(bad)), Err("upload.name".into()), "{bad:?}");
        }
        assert_eq!(placed("other.stl", None), Err("upload.unknown".into()));
    }
}
