use std::fs;

use super::*;
use rcgen::{CertificateParams, KeyPair};

struct Pair {
    certificate: String,
    key: String,
}

fn pair(year: i32) -> Pair {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    Pair { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

struct Disk {
    _dir: tempfile::TempDir,
    files: TlsFiles,
}

impl Disk {
    fn with(pair: &Pair) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: dir.path().join("tls.crt"),
            key: dir.path().join("tls.key"),
            client_ca: None,
        };
        let disk = Self { _dir: dir, files };
        disk.put(&pair.certificate, &pair.key);
        disk
    }

    fn put(&self, certificate: &str, key: &str) {
        fs::write(&self.files.certificate, certificate).unwrap();
        fs::write(&self.files.key, key).unwrap();
    }
}

fn loaded(pair: &Pair) -> (Disk, Tls, Arc<Metrics>) {
    let disk = Disk::with(pair);
    let metrics = Arc::new(Metrics::new().unwrap());
    let tls = Tls::load(disk.files.clone(), Arc::clone(&metrics)).unwrap();
    (disk, tls, metrics)
}

fn current(tls: &Tls) -> Arc<ServerConfig> {
    Arc::clone(&tls.config.read().unwrap())
}

fn end(metrics: &Metrics) -> i64 {
    metrics.certificate_not_after.with_label_values(&["listen"]).get()
}

#[test]
fn files_that_did_not_change_are_left_alone() {
    let (_disk, tls, metrics) = loaded(&pair(2031));
    assert_eq!(tls.reload(ReloadTrigger::Requested), None);
    assert_eq!(metrics.reloads.get(ReloadResult::Success) + metrics.reloads.get(ReloadResult::Failure), 0);
}

#[test]
fn a_new_pair_replaces_the_old_one_and_its_end_is_told() {
    let (disk, tls, metrics) = loaded(&pair(2031));
    let (before, old_end) = (current(&tls), end(&metrics));
    let new = pair(2041);
    disk.put(&new.certificate, &new.key);
    assert_eq!(tls.reload(ReloadTrigger::Requested), Some(ReloadResult::Success));
    assert!(!Arc::ptr_eq(&before, &current(&tls)));
    assert!(end(&metrics) > old_end, "{old_end}");
}

#[test]
fn f62_what_is_broken_half_written_or_mismatched_is_refused_once_and_the_old_pair_stays() {
    let old = pair(2031);
    let new = pair(2041);
    let half = &new.certificate[..new.certificate.len() / 2];
    for (certificate, key) in
        [("garbage", "garbage"), (half, &*new.key), (&*new.certificate, &*old.key), ("", "")]
    {
        let (disk, tls, metrics) = loaded(&old);
        let (before, old_end) = (current(&tls), end(&metrics));
        disk.put(certificate, key);
        assert_eq!(
            (tls.reload(ReloadTrigger::Requested), tls.reload(ReloadTrigger::Requested)),
            (Some(ReloadResult::Failure), None)
        );
        assert!(Arc::ptr_eq(&before, &current(&tls)));
        assert_eq!((end(&metrics), metrics.reloads.get(ReloadResult::Failure)), (old_end, 1));
        disk.put(&new.certificate, &new.key);
        assert_eq!(
            tls.reload(ReloadTrigger::Requested),
            Some(ReloadResult::Success),
            "the rest of the file came"
        );
    }
}

#[test]
fn a_file_that_is_gone_is_a_failure_that_names_it() {
    let (disk, tls, _) = loaded(&pair(2031));
    fs::remove_file(&disk.files.key).unwrap();
    assert_eq!(tls.reload(ReloadTrigger::Requested), Some(ReloadResult::Failure));
    let error = Tls::load(disk.files.clone(), Arc::new(Metrics::new().unwrap())).unwrap_err();
    assert!(error.to_string().contains("tls.key"), "{error}");
}

#[test]
fn an_empty_client_ca_is_refused() {
    let disk = Disk::with(&pair(2031));
    let empty = disk.files.certificate.with_file_name("ca.crt");
    fs::write(&empty, "").unwrap();
    let files = TlsFiles { client_ca: Some(empty), ..disk.files.clone() };
    let error = Tls::load(files, Arc::new(Metrics::new().unwrap())).unwrap_err();
    assert!(error.to_string().contains("ca.crt"), "{error}");
}
