//! PEM files that the configuration names: all certificates are read, or the file is refused with the line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::client::Client;
use crate::common::origin::OriginServer;
use crate::common::proxy::path;
use crate::common::reply::Reply;
use crate::common::serve::Serve;
use crate::common::tls::Authority;
use crate::common::token;

const BODY: &str = r#"{"postFederationSignup":null,"postAttributeCollection":null}"#;

struct Files {
    _dir: tempfile::TempDir,
    certificate: PathBuf,
    key: PathBuf,
    client_ca: PathBuf,
    ca_file: PathBuf,
    root: Authority,
}

impl Files {
    fn create() -> Self {
        let (dir, root) = (tempfile::tempdir().unwrap(), Authority::new());
        let (certificate, key) = root.right().write_pem(dir.path());
        let client_ca = root.write_pem(dir.path());
        let ca_file = dir.path().join("graph-ca.pem");
        fs::copy(&client_ca, &ca_file).unwrap();
        Self { _dir: dir, certificate, key, client_ca, ca_file, root }
    }

    fn all(&self) -> [&PathBuf; 4] {
        [&self.certificate, &self.key, &self.client_ca, &self.ca_file]
    }

    fn env(&self) -> [(&'static str, &str); 4] {
        let names = [
            "CONNECTOR_CACHE__LISTEN__TLS__CERTIFICATE",
            "CONNECTOR_CACHE__LISTEN__TLS__KEY",
            "CONNECTOR_CACHE__LISTEN__TLS__CLIENT_CA",
            "CONNECTOR_CACHE__GRAPH__CA_FILE",
        ];
        let mut paths = self.all().into_iter().map(|path| path.to_str().unwrap());
        names.map(|name| (name, paths.next().unwrap()))
    }

    fn run(&self, command: &str) -> Output {
        let mut process = Command::new(env!("CARGO_BIN_EXE_connector-cache"));
        process.arg(command).env_clear().envs(self.env());
        process.env("CONNECTOR_CACHE__LISTEN__ADDRESS", "127.0.0.1:0");
        process.env("CONNECTOR_CACHE__ADMIN__ADDRESS", "127.0.0.1:0").output().unwrap()
    }
}

/// Change of the text of a file.
type Change = fn(String) -> String;

fn rewrite(file: &Path, change: impl Fn(String) -> String) {
    fs::write(file, change(fs::read_to_string(file).unwrap())).unwrap();
}

#[tokio::test]
async fn e3_a_byte_order_mark_crlf_blanks_and_text_between_sections_hide_no_certificate() {
    let files = Files::create();
    for file in files.all() {
        rewrite(file, |text| {
            format!("\u{feff}{text}").replace('\n', "\r\n").replace("-----BEGIN", " -----BEGIN")
        });
    }
    rewrite(&files.ca_file, |text| text.replace("CERTIFICATE", "X509 CERTIFICATE"));
    rewrite(&files.client_ca, |text| {
        let other = Authority::new().pem();
        format!("subject=CN = another root\n{other}\nsubject=CN = root\n{}", &text[3..])
    });
    let origin = OriginServer::start_tls(files.root.right().server_config()).await;
    origin.any(Reply::json(BODY));
    let url = origin.url_by_name();
    let mut env = files.env().to_vec();
    env.push(("CONNECTOR_CACHE__GRAPH__BASE_URL", &url));
    let serve = Serve::start(&env).await;
    let config = files.root.client_config_showing(&files.root.right(), &["http/1.1"]);
    let mut client = Client::connect_tls(serve.data, config, "localhost").await.unwrap();
    let authorization = format!("Bearer {}", token::mint("a"));
    let response = client.get(&path("B2X_1_x"), &[("authorization", &authorization)]).await;
    assert_eq!((response.status, response.text()), (200, BODY));
    assert!(serve.stop().await.0.success());
    assert_eq!(files.run("check").status.code(), Some(0));
}

#[test]
fn e3_a_section_that_cannot_be_read_is_refused_with_its_line_at_start_and_by_check() {
    let changes: [(&str, Change); 5] = [
        ("TRUSTED CERTIFICATE", |text| {
            format!("{text}{}", text.replace("CERTIFICATE", "TRUSTED CERTIFICATE"))
        }),
        ("malformed boundary", |text| format!("{text}root: {text}")),
        ("does not end", |text| format!("{text}{}", &text[..text.len() / 2])),
        ("no valid base64", |text| format!("{text}{}", text.replacen('M', "!", 1))),
        ("expected CERTIFICATE", |text| format!("{text}{}", text.replace("CERTIFICATE", "PKCS7"))),
    ];
    for (problem, change) in changes {
        for number in [0, 2, 3] {
            let files = Files::create();
            let file = files.all()[number].clone();
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            rewrite(&file, change);
            for command in ["check", "serve"] {
                let output = files.run(command);
                let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
                assert_eq!(output.status.code(), Some(1), "{command} {problem}: {text}");
                assert!(text.contains(problem) && text.contains(file.to_str().unwrap()), "{problem}: {text}");
                assert!(text.contains(&format!("line {}", lines + 1)), "{problem}: {text}");
            }
        }
    }
}

#[test]
fn e3_check_refuses_a_key_that_is_not_that_of_the_certificate_and_skips_files_of_another_machine() {
    let files = Files::create();
    fs::copy(Files::create().key, &files.key).unwrap();
    let output = files.run("check");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    fs::remove_file(&files.key).unwrap();
    let output = files.run("check");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.contains("key.pem"), "{text}");
}
