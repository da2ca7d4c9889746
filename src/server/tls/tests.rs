use std::fs;

use super::*;
use rcgen::{CertificateParams, KeyPair};

struct PemPair {
    certificate: String,
    key: String,
}

fn pem_pair(not_after_year: i32) -> PemPair {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(not_after_year, 1, 1);
    PemPair { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

struct TestFiles {
    _dir: tempfile::TempDir,
    files: TlsFiles,
}

impl TestFiles {
    fn create(pair: &PemPair) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = TlsFiles {
            certificate: dir.path().join("tls.crt"),
            key: dir.path().join("tls.key"),
            client_ca: None,
        };
        let test_files = Self { _dir: dir, files };
        test_files.write(&pair.certificate, &pair.key);
        test_files
    }

    fn write(&self, certificate: &str, key: &str) {
        fs::write(&self.files.certificate, certificate).unwrap();
        fs::write(&self.files.key, key).unwrap();
    }
}

fn load(pair: &PemPair) -> (TestFiles, Tls, Arc<Metrics>) {
    let test_files = TestFiles::create(pair);
    let metrics = Arc::new(Metrics::new().unwrap());
    let tls = Tls::load(test_files.files.clone(), Arc::clone(&metrics)).unwrap();
    (test_files, tls, metrics)
}

fn current(tls: &Tls) -> Arc<ServerConfig> {
    Arc::clone(&tls.config.read().unwrap())
}

fn expiry(metrics: &Metrics) -> i64 {
    metrics.certificate_not_after.with_label_values(&["listen"]).get()
}

#[test]
fn unchanged_files_are_not_loaded_again() {
    let (_test_files, tls, metrics) = load(&pem_pair(2031));
    assert_eq!(tls.reload(ReloadTrigger::Requested), None);
    assert_eq!(metrics.reloads(ReloadResult::Success) + metrics.reloads(ReloadResult::Failure), 0);
}

#[test]
fn a_new_pair_replaces_the_old_one_and_the_metric_shows_its_expiry() {
    let (test_files, tls, metrics) = load(&pem_pair(2031));
    let (before, old_expiry) = (current(&tls), expiry(&metrics));
    let new = pem_pair(2041);
    test_files.write(&new.certificate, &new.key);
    assert_eq!(tls.reload(ReloadTrigger::Requested), Some(ReloadResult::Success));
    assert!(!Arc::ptr_eq(&before, &current(&tls)));
    assert!(expiry(&metrics) > old_expiry, "{old_expiry}");
}

#[test]
fn f62_invalid_half_written_or_mismatched_files_are_refused_once_and_the_old_pair_stays() {
    let old = pem_pair(2031);
    let new = pem_pair(2041);
    let half = &new.certificate[..new.certificate.len() / 2];
    for (certificate, key) in
        [("garbage", "garbage"), (half, &*new.key), (&*new.certificate, &*old.key), ("", "")]
    {
        let (test_files, tls, metrics) = load(&old);
        let (before, old_expiry) = (current(&tls), expiry(&metrics));
        test_files.write(certificate, key);
        assert_eq!(
            (tls.reload(ReloadTrigger::Requested), tls.reload(ReloadTrigger::Requested)),
            (Some(ReloadResult::Failure), None)
        );
        assert!(Arc::ptr_eq(&before, &current(&tls)));
        assert_eq!((expiry(&metrics), metrics.reloads(ReloadResult::Failure)), (old_expiry, 1));
        test_files.write(&new.certificate, &new.key);
        assert_eq!(
            tls.reload(ReloadTrigger::Requested),
            Some(ReloadResult::Success),
            "the files are complete now"
        );
    }
}

#[test]
fn a_missing_file_is_a_failure_whose_message_names_the_file() {
    let (test_files, tls, _) = load(&pem_pair(2031));
    fs::remove_file(&test_files.files.key).unwrap();
    assert_eq!(tls.reload(ReloadTrigger::Requested), Some(ReloadResult::Failure));
    let error = Tls::load(test_files.files.clone(), Arc::new(Metrics::new().unwrap())).unwrap_err();
    assert!(error.to_string().contains("tls.key"), "{error}");
}

#[test]
fn an_empty_client_ca_is_refused() {
    let test_files = TestFiles::create(&pem_pair(2031));
    let empty = test_files.files.certificate.with_file_name("ca.crt");
    fs::write(&empty, "").unwrap();
    let files = TlsFiles { client_ca: Some(empty), ..test_files.files.clone() };
    let error = Tls::load(files, Arc::new(Metrics::new().unwrap())).unwrap_err();
    assert!(error.to_string().contains("ca.crt"), "{error}");
}
