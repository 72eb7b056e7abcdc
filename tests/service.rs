//! The HTTP service from outside: over a socket, with stand-ins for the engine where its result is not the point.

#[path = "service/client.rs"]
mod client;
#[path = "service/stand_in.rs"]
mod stand_in;

use std::path::Path;
use std::time::{Duration, Instant};

use client::{Answer, Server, form, order, send};
use serde_json::Value;
use verimetry_server::http::Limits;
use verimetry_server::keys::KeySet;
use verimetry_server::verify::verify;

const MESH: &[u8] = b"solid x\nendsolid x\n";

fn good_form() -> (String, Vec<u8>) {
    form(&[("order", None, &order("design.stl", "scan.stl")), ("design.stl", Some("d.stl"), MESH), ("scan.stl", Some("s.stl"), MESH)])
}

fn submit(server: &Server, headers: &[(&str, &str)]) -> Answer {
    let (kind, body) = good_form();
    let mut all = vec![("content-type", kind.as_str())];
    all.extend_from_slice(headers);
    send(server.address, "POST", "/v1/judgements", &all, &body)
}

fn get(server: &Server, path: &str, accept: &str) -> Answer {
    send(server.address, "GET", path, &[("accept", accept)], b"")
}

/// Asks until the judgement is no longer under way.
fn finished(server: &Server, place: &str) -> Answer {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = get(server, place, "*/*");
        if answer.status != 202 {
            return answer;
        }
        assert!(Instant::now() < end, "still under way: {}", answer.text());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.json()["code"].as_str()), (status, Some(code)), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.json()["status"], status);
}

fn is_empty(folder: &Path) -> bool {
    folder.read_dir().unwrap().next().is_none()
}

#[test]
fn a_judgement_is_given_in_three_forms_and_verifies_with_the_published_keys() {
    let server = Server::start(stand_in::conforming);
    let answer = submit(&server, &[("prefer", "wait=20")]);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/jose+json")), "{}", answer.text());
    assert_eq!(answer.header("preference-applied"), Some("wait=20"));
    let place = answer.header("location").unwrap().to_owned();

    let keys = KeySet::read(&get(&server, "/.well-known/jwks.json", "*/*").body).unwrap();
    let signed = get(&server, &place, "application/jose+json");
    assert_eq!(signed.body, answer.body);
    let verified = verify(&signed.body, Some(&keys), None).unwrap();
    assert!(verified.holds && verified.trusted);
    assert_eq!(place, format!("/v1/judgements/{}", verified.payload.id));

    let payload = get(&server, &place, "application/json");
    assert_eq!(payload.json(), verified.payload.to_value().unwrap());
    let page = get(&server, &place, "text/html,*/*;q=0.8");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().starts_with("<!DOCTYPE html>"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    is_problem(&get(&server, &place, "image/png"), 406, "http.not_acceptable");
}

#[test]
fn evidence_is_given_by_its_signed_name_alone() {
    let server = Server::start(stand_in::conforming);
    let place = submit(&server, &[("prefer", "wait=20")]).header("location").unwrap().to_owned();
    let note = get(&server, &format!("{place}/evidence/note.txt"), "*/*");
    assert_eq!((note.status, note.body.as_slice(), note.header("content-type")), (200, stand_in::NOTE, Some("text/plain")));
    for name in ["other.txt", "..%2Fjudgement.json", "%2e%2e%2f%2e%2e%2finputs%2forder.toml"] {
        is_problem(&get(&server, &format!("{place}/evidence/{name}"), "*/*"), 404, "evidence.unknown");
    }
}

#[test]
fn without_a_wish_to_wait_the_answer_says_where_and_how_far() {
    let server = Server::start(stand_in::gated);
    let answer = submit(&server, &[]);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let place = answer.header("location").unwrap().to_owned();
    let end = Instant::now() + Duration::from_secs(20);
    let running = loop {
        let status = get(&server, &place, "*/*");
        assert_eq!(status.status, 202);
        if status.json()["progress"]["stage"] == "measure" || Instant::now() > end {
            break status.json();
        }
    };
    assert_eq!((&running["state"], &running["progress"]["fraction"]), (&"running".into(), &Value::from(0.5)));
    let waited = submit(&server, &[("prefer", "wait=0")]);
    assert_eq!((waited.status, waited.json()["state"].clone()), (202, "queued".into()));
    server.open_gate();
    assert_eq!(finished(&server, &place).status, 200);
}

#[test]
fn a_folder_is_several_parts_of_one_name() {
    let server = Server::start(stand_in::conforming);
    let order = order("design.stl", "ct");
    let (kind, body) = form(&[
        ("order", None, &order),
        ("ct", Some("1.dcm"), b"one"),
        ("files", Some("design.stl"), MESH),
        ("ct/2.dcm", Some("anything"), b"two"),
    ]);
    let answer = send(server.address, "POST", "/v1/judgements", &[("content-type", &kind), ("prefer", "wait=20")], &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let inputs = server.job_folder(answer.header("location").unwrap()).join("inputs");
    assert_eq!(std::fs::read(inputs.join("ct/1.dcm")).unwrap(), b"one");
    assert_eq!(std::fs::read(inputs.join("ct/2.dcm")).unwrap(), b"two");
    assert_eq!(std::fs::read(inputs.join("design.stl")).unwrap(), MESH);
}

#[test]
fn every_malformed_upload_is_refused_by_its_code_and_leaves_nothing() {
    let server = Server::start(stand_in::conforming);
    let order = order("design.stl", "scan.stl");
    let order = order.as_slice();
    let design = ("design.stl", Some("d"), MESH);
    let refused = |parts: &[(&str, Option<&str>, &[u8])], status, code| {
        let (kind, body) = form(parts);
        is_problem(&send(server.address, "POST", "/v1/judgements", &[("content-type", &kind)], &body), status, code);
    };
    refused(&[design, ("order", None, order)], 400, "upload.order_first");
    refused(&[("order", None, order), design], 422, "upload.missing");
    refused(&[("order", None, order), ("other.stl", None, MESH)], 400, "upload.unknown");
    refused(&[("order", None, order), ("../design.stl", None, MESH)], 400, "upload.name");
    refused(&[("order", None, order), ("scan.stl", Some("../../x"), MESH)], 400, "upload.name");
    refused(&[("order", None, order), design, design, ("scan.stl", None, MESH)], 400, "upload.duplicate");
    refused(&[("order", None, b"schema = 1")], 422, "order.type");
    refused(&[("order", None, &vec![b' '; 2 << 20])], 413, "order.too_large");
    let json = send(server.address, "POST", "/v1/judgements", &[("content-type", "application/json")], b"{}");
    is_problem(&json, 415, "upload.not_multipart");
    let (kind, body) = good_form();
    let cut = send(server.address, "POST", "/v1/judgements", &[("content-type", &kind)], &body[..body.len() - 40]);
    is_problem(&cut, 400, "upload.malformed");
    assert!(is_empty(&server.data().join("incoming")) && is_empty(&server.data().join("jobs")));
}

#[test]
fn an_upload_over_the_limit_is_refused_announced_or_not() {
    let server = Server::with(stand_in::conforming, Limits { upload_bytes: 100_000, ..Limits::default() });
    let order = order("design.stl", "scan.stl");
    let (kind, body) = form(&[("order", None, &order), ("design.stl", None, &vec![7; 300_000])]);
    is_problem(&send(server.address, "POST", "/v1/judgements", &[("content-type", &kind)], &body), 413, "upload.too_large");
    let chunked = client::send_chunked(server.address, "/v1/judgements", &kind, &body);
    is_problem(&chunked, 413, "upload.too_large");
    assert!(is_empty(&server.data().join("incoming")));
}

#[test]
fn headers_of_a_part_without_end_are_refused_before_they_fill_the_memory() {
    let server = Server::start(stand_in::conforming);
    let mut body = b"--edge\r\nContent-Disposition: form-data; name=\"order\"\r\nX-Long: ".to_vec();
    body.resize(12 << 20, b'x');
    let answer = send(server.address, "POST", "/v1/judgements", &[("content-type", "multipart/form-data; boundary=edge")], &body);
    is_problem(&answer, 400, "upload.malformed");
}

#[test]
fn what_the_engine_refuses_is_a_problem_with_its_code() {
    let server = Server::start(stand_in::refusing);
    is_problem(&submit(&server, &[("prefer", "wait=20")]), 422, "mesh.empty");
    let place = submit(&server, &[]).header("location").unwrap().to_owned();
    is_problem(&finished(&server, &place), 422, "mesh.empty");
}

#[test]
fn a_panic_of_the_engine_is_a_defect_and_the_next_judgement_is_computed() {
    let server = Server::start(stand_in::panicking_at_first);
    is_problem(&submit(&server, &[("prefer", "wait=20")]), 500, "verimetry.defect");
    server.open_gate();
    assert_eq!(submit(&server, &[("prefer", "wait=20")]).status, 200);
}

#[test]
fn an_unfinished_judgement_can_be_cancelled_and_a_finished_one_stays() {
    let server = Server::start(stand_in::gated);
    let running = submit(&server, &[]).header("location").unwrap().to_owned();
    let queued = submit(&server, &[]).header("location").unwrap().to_owned();
    for place in [&queued, &running] {
        assert_eq!(send(server.address, "DELETE", place, &[], b"").status, 204);
        is_problem(&finished(&server, place), 410, "run.cancelled");
    }
    server.open_gate();
    let answer = submit(&server, &[("prefer", "wait=20")]);
    assert_eq!(answer.status, 200, "the worker is free again");
    let place = answer.header("location").unwrap();
    is_problem(&send(server.address, "DELETE", place, &[], b""), 409, "judgement.finished");
    assert_eq!(get(&server, place, "*/*").status, 200);
    assert!(!server.job_folder(&running).join("result").exists());
}

#[test]
fn a_repeated_request_with_its_key_is_the_same_judgement_and_another_one_is_refused() {
    let server = Server::start(stand_in::conforming);
    let key = ("idempotency-key", "order-17");
    let first = submit(&server, &[key, ("prefer", "wait=20")]);
    let again = submit(&server, &[key, ("prefer", "wait=20")]);
    assert_eq!((again.status, again.header("location"), &again.body), (200, first.header("location"), &first.body));
    assert_ne!(submit(&server, &[]).header("location"), first.header("location"));
    let other = order("design.stl", "ct");
    let (kind, body) = form(&[("order", None, &other), ("design.stl", None, MESH), ("ct", None, MESH)]);
    let reused = send(server.address, "POST", "/v1/judgements", &[("content-type", &kind), key], &body);
    is_problem(&reused, 422, "idempotency.reused");
    assert_eq!(server.data().join("jobs").read_dir().unwrap().count(), 2);
}

#[test]
fn pages_of_other_origins_and_rebound_names_are_refused() {
    let server = Server::start(stand_in::conforming);
    let asked = |headers: &[(&str, &str)]| send(server.address, "GET", "/healthz", headers, b"");
    assert_eq!(asked(&[]).status, 200);
    is_problem(&asked(&[("host", "evil.example")]), 421, "http.host");
    is_problem(&asked(&[("origin", "http://evil.example")]), 403, "http.origin");
    is_problem(&send(server.address, "GET", "/nothing", &[], b""), 404, "http.not_found");
    is_problem(&send(server.address, "PUT", "/healthz", &[], b""), 405, "http.method");
    is_problem(&get(&server, "/v1/judgements/no-id", "*/*"), 404, "judgement.unknown");
    assert_eq!(asked(&[]).header("x-content-type-options"), Some("nosniff"));
    assert_eq!(get(&server, "/readyz", "*/*").json()["unfinished"], 0);
}

#[test]
fn a_killed_server_takes_its_jobs_up_again_and_issues_each_once() {
    let home = tempfile::tempdir().unwrap();
    let mut child = client::child(home.path());
    let first = submit(&child, &[]).header("location").unwrap().to_owned();
    let second = submit(&child, &[("idempotency-key", "k")]).header("location").unwrap().to_owned();
    while get(&child, &first, "*/*").json()["progress"].is_null() {
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill();
    // An upload that was cut off and files that were never accepted.
    std::fs::create_dir_all(home.path().join("incoming/half")).unwrap();
    std::fs::create_dir_all(home.path().join("jobs/0192f0c4-0000-7000-8000-000000000001/inputs")).unwrap();

    let server = Server::at(home.path(), stand_in::gated, Limits::default());
    assert!(is_empty(&home.path().join("incoming")));
    assert_eq!(home.path().join("jobs").read_dir().unwrap().count(), 2);
    server.open_gate();
    let judgements: Vec<_> = [&first, &second].map(|place| finished(&server, place)).into();
    assert!(judgements.iter().all(|j| j.status == 200), "{}", judgements[0].text());
    assert_eq!(submit(&server, &[("idempotency-key", "k")]).header("location"), Some(second.as_str()));

    // Issued is issued: another start gives the same bytes.
    drop(server);
    let server = Server::at(home.path(), stand_in::refusing, Limits::default());
    assert_eq!(get(&server, &first, "*/*").body, judgements[0].body);
}

#[test]
fn a_judgement_whose_files_were_complete_is_issued_as_it_is_and_one_that_kills_the_server_is_given_up() {
    let home = tempfile::tempdir().unwrap();
    let mut place = String::new();
    for _ in 0..3 {
        let mut child = client::child(home.path());
        if place.is_empty() {
            place = submit(&child, &[]).header("location").unwrap().to_owned();
        }
        while get(&child, &place, "*/*").json()["progress"].is_null() {
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill();
    }
    let server = Server::at(home.path(), stand_in::conforming, Limits::default());
    is_problem(&finished(&server, &place), 500, "verimetry.defect");
}

#[test]
fn a_stopped_server_gives_its_running_job_to_the_next_without_counting_it() {
    let home = tempfile::tempdir().unwrap();
    let mut place = String::new();
    for _ in 0..5 {
        let server = Server::at(home.path(), stand_in::gated, Limits::default());
        if place.is_empty() {
            place = submit(&server, &[]).header("location").unwrap().to_owned();
        }
        while get(&server, &place, "*/*").json()["progress"].is_null() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let server = Server::at(home.path(), stand_in::conforming, Limits::default());
    assert_eq!(finished(&server, &place).status, 200);
}

#[test]
fn two_servers_do_not_share_a_folder() {
    let server = Server::start(stand_in::conforming);
    let second = client::serve_once(server.data(), stand_in::conforming);
    assert_eq!(second.unwrap_err().code, "store.in_use");
}

#[test]
fn no_more_jobs_are_taken_than_the_limit() {
    let server = Server::with(stand_in::gated, Limits { unfinished: 2, ..Limits::default() });
    assert_eq!([submit(&server, &[]).status, submit(&server, &[]).status], [202, 202]);
    is_problem(&submit(&server, &[]), 503, "service.busy");
}

/// The process that the tests above kill: this binary, started for this test alone.
#[test]
#[ignore = "a server that runs until it is killed"]
fn serves_as_a_child() {
    client::serve_as_a_child(stand_in::gated);
}
