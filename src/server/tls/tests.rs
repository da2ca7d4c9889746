use std::fs;

use super::*;
use rcgen::{CertificateParams, KeyPair};

struct PemPair {
    certificate: String,
    key: String,
}

fn pem_pair(not_after_year: i32) -> PemPair {
    pem_pair_between(2020, not_after_year)
}

fn pem_pair_between(not_before_year: i32, not_after_year: i32) -> PemPair {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(not_before_year, 1, 1);
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
    load_at(pair, Clock::system())
}

fn load_at(pair: &PemPair, clock: Clock) -> (TestFiles, Tls, Arc<Metrics>) {
    let test_files = TestFiles::create(pair);
    let metrics = Arc::new(Metrics::new().unwrap());
    let tls = Tls::load(test_files.files.clone(), clock, Arc::clone(&metrics)).unwrap();
    (test_files, tls, metrics)
}

fn try_load(files: TlsFiles) -> Result<Tls, Error> {
    Tls::load(files, Clock::system(), Arc::new(Metrics::new().unwrap()))
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
    let error = try_load(test_files.files.clone()).unwrap_err();
    assert!(error.to_string().contains("tls.key"), "{error}");
}

#[test]
fn an_empty_client_ca_is_refused() {
    let test_files = TestFiles::create(&pem_pair(2031));
    let empty = test_files.files.certificate.with_file_name("ca.crt");
    fs::write(&empty, "").unwrap();
    let files = TlsFiles { client_ca: Some(empty), ..test_files.files.clone() };
    let error = try_load(files).unwrap_err();
    assert!(error.to_string().contains("ca.crt"), "{error}");
}

/// A clock in the middle of 2035.
fn clock() -> Clock {
    Clock::manual(humantime::parse_rfc3339("2035-07-01T00:00:00Z").unwrap())
}

#[test]
fn a_certificate_outside_of_its_validity_period_does_not_replace_a_better_one() {
    let replaced = |(from, until), (new_from, new_until)| {
        let (test_files, tls, metrics) = load_at(&pem_pair_between(from, until), clock());
        let before = current(&tls);
        let new = pem_pair_between(new_from, new_until);
        test_files.write(&new.certificate, &new.key);
        let result = tls.reload(ReloadTrigger::Requested).unwrap();
        assert_eq!(metrics.reloads(result), 1);
        assert_eq!(Arc::ptr_eq(&before, &current(&tls)), result == ReloadResult::Failure);
        result == ReloadResult::Success
    };
    let (valid, expired, earlier, later) = ((2030, 2040), (2030, 2034), (2030, 2033), (2037, 2040));
    assert!(!replaced(valid, expired), "an expired one");
    assert!(!replaced(valid, later), "one that is not valid yet");
    assert!(!replaced(expired, earlier), "the old one has expired later");
    assert!(!replaced(later, expired), "the old one will be valid");
    assert!(replaced(expired, valid) && replaced(later, valid));
    assert!(replaced(earlier, expired), "the old one has expired earlier");
    assert!(replaced(expired, expired), "the same period: a new authority of clients, for example");
    assert!(replaced(expired, later) && replaced((2038, 2040), later));
}

#[test]
fn a_certificate_that_was_refused_because_it_was_early_is_used_from_its_first_second_on() {
    let clock = clock();
    let (test_files, tls, metrics) = load_at(&pem_pair(2040), clock.clone());
    let early = pem_pair_between(2036, 2041);
    test_files.write(&early.certificate, &early.key);
    assert_eq!(tls.reload(ReloadTrigger::Requested), Some(ReloadResult::Failure));
    let (before, old_expiry) = (current(&tls), expiry(&metrics));
    let until = humantime::parse_rfc3339("2036-01-01T00:00:00Z").unwrap();
    let wait = (until - Duration::from_secs(1)).duration_since(clock.now().wall()).unwrap();
    clock.advance(wait);
    assert_eq!(tls.reload(ReloadTrigger::Poll), None);
    clock.advance(Duration::from_secs(1));
    assert_eq!(tls.reload(ReloadTrigger::Poll), Some(ReloadResult::Success));
    assert!(!Arc::ptr_eq(&before, &current(&tls)) && expiry(&metrics) > old_expiry);
    assert_eq!(tls.reload(ReloadTrigger::Poll), None, "only once");
}

#[test]
fn files_that_replace_an_early_certificate_are_used_instead_of_it() {
    let clock = clock();
    let (test_files, tls, _) = load_at(&pem_pair(2040), clock.clone());
    let (early, newer) = (pem_pair_between(2036, 2041), pem_pair(2042));
    test_files.write(&early.certificate, &early.key);
    tls.reload(ReloadTrigger::Requested);
    test_files.write(&newer.certificate, &newer.key);
    assert_eq!(tls.reload(ReloadTrigger::Requested), Some(ReloadResult::Success));
    let used = current(&tls);
    clock.advance(Duration::from_hours(24 * 365));
    assert_eq!(tls.reload(ReloadTrigger::Requested), None);
    assert!(Arc::ptr_eq(&used, &current(&tls)));
}
