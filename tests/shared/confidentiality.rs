//! Nothing in the store, and no command to it, says anything about callers and answers.

use connector_cache::fake_graph::{CONTOSO, user_id};

use crate::common::redis::Store;
use crate::common::redis::resp::Value;
use crate::fleet::{SECRET, Setup, X, Y, graph, token, until, wait_for_entries};

#[tokio::test]
async fn the_commands_to_the_store_hold_no_secret() {
    let (graph, store) = (graph(), Store::start().await);
    let mut monitor = store.connect().await;
    monitor.ok(&["MONITOR"]).await;
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        while let Ok(value) = monitor.read().await {
            // The receiver has ended at the end of the test.
            let _ = sender.send(value);
        }
    });
    let setup = Setup::new(&graph.url(), &store.url());
    let replicas = setup.fleet(2).await;
    let mut seen = vec![SECRET.to_owned(), CONTOSO.to_owned(), X.to_owned(), Y.to_owned()];
    for user in ["ada", "bob"] {
        let token = token(&graph, user);
        for (number, flow) in [X, Y].into_iter().enumerate() {
            replicas[number].read(flow, &token).await;
        }
        seen.extend(token.split('.').map(str::to_owned));
        seen.push(user_id(CONTOSO, user));
    }
    wait_for_entries(&store, 4).await;
    for query in [
        String::new(),
        format!("?flow={X}"),
        format!("?tenant={CONTOSO}&subject={}", user_id(CONTOSO, "ada")),
    ] {
        replicas[0].purge(&query).await;
    }
    seen.extend(graph.planted_secrets());
    seen.extend(["odata", "connectorConfiguration", "postAttributeCollection", "Bearer"].map(str::to_owned));
    store.ok(&["PING", "the end"]).await;
    let mut text = String::new();
    while !text.contains("the end") {
        let Some(Value::Text(line)) = lines.recv().await else { panic!("MONITOR has ended") };
        text.push_str(&line);
        text.push('\n');
    }
    reader.abort();
    assert!(text.contains(":p:") && text.len() > 5_000, "nothing was recorded: {text}");
    // A value that travels as hex or in its escaped form would be found by its text only.
    for part in seen {
        assert!(
            part.len() < 4 || !text.to_lowercase().contains(&part.to_lowercase()),
            "{part} is in a command"
        );
    }
}

#[tokio::test]
async fn neither_scripts_nor_pub_sub_nor_scans_nor_tracking_are_used() {
    let (graph, mut store) = (graph(), Store::start().await);
    let rules = [
        "ACL",
        "SETUSER",
        "cache",
        "on",
        ">password",
        "~cc:*",
        "+@all",
        "-@scripting",
        "-@pubsub",
        "-@admin",
    ];
    store
        .ok(&[&rules[..], &["-keys", "-scan", "-flushall", "-flushdb", "-client|tracking", "-monitor"]]
            .concat())
        .await;
    store.require_password("administrator").await;
    let setup = Setup::new(&graph.url(), &store.url()).with("SHARED__USERNAME", "cache");
    let setup = setup.with_file("SHARED__PASSWORD_FILE", "password", "password\n");
    let (replicas, token) = (setup.fleet(2).await, token(&graph, "ada"));
    replicas[0].read(X, &token).await;
    wait_for_entries(&store, 1).await;
    crate::fleet::assert_shared(&replicas[1].read(X, &token).await);
    assert_eq!(replicas[1].purge("").await["confirmed"], 2);
    replicas[0].refresh(X, &token).await;
    let refused = store.ok(&["ACL", "LOG"]).await.into_list();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn the_rights_that_the_page_names_suffice() {
    let (graph, mut store) = (graph(), Store::start().await);
    let page = include_str!("../../docs/fleet.md");
    let rules = page.split("```text\nACL SETUSER ").nth(1).unwrap().split("```").next().unwrap();
    let rules: Vec<_> = ["ACL", "SETUSER"].into_iter().chain(rules.split_whitespace()).collect();
    store.ok(&rules).await;
    store.require_password("administrator").await;
    let setup = Setup::new(&graph.url(), &store.url()).with("SHARED__USERNAME", "connector-cache");
    let setup = setup.with_file("SHARED__PASSWORD_FILE", "password", "password\n");
    let (replicas, token) = (setup.fleet(2).await, token(&graph, "ada"));
    replicas[0].read(X, &token).await;
    wait_for_entries(&store, 1).await;
    crate::fleet::assert_shared(&replicas[1].read(X, &token).await);
    assert_eq!(replicas[1].purge("").await["confirmed"], 2);
    replicas[0].refresh(X, &token).await;
    for replica in replicas {
        replica.0.stop().await;
    }
    let refused = store.ok(&["ACL", "LOG"]).await.into_list();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn keys_of_equal_requests_differ_between_secrets() {
    let (graph, store) = (graph(), Store::start().await);
    let setup = Setup::new(&graph.url(), &store.url());
    let token = token(&graph, "ada");
    let (one, other) = (setup.live().await, setup.secret("other", crate::fleet::OTHER_SECRET).live().await);
    one.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    let first = store.keys(":p:").await;
    for key in [store.keys(":e:").await, first.clone()].concat() {
        store.ok(&["DEL", &String::from_utf8_lossy(&key)]).await;
    }
    other.read(X, &token).await;
    wait_for_entries(&store, 1).await;
    assert_ne!(first, store.keys(":p:").await);
}

#[tokio::test]
async fn the_log_of_the_replica_holds_no_password_of_the_store() {
    let (graph, mut store) = (graph(), Store::start().await);
    store.require_password("pa55-of-the-store").await;
    let setup = Setup::new(&graph.url(), &store.url());
    let wrong = setup.with_file("SHARED__PASSWORD_FILE", "wrong", "wr0ng-password").start().await;
    let right = setup.with_file("SHARED__PASSWORD_FILE", "right", "pa55-of-the-store").live().await;
    wrong.wait_for_state("auth").await;
    for replica in [wrong, right] {
        until("a line about the store", async || {
            replica.0.log_lines().iter().any(|line| line.contains("shared"))
        })
        .await;
        let overview = replica.0.look("/cache").await.text().to_owned();
        let metrics = replica.0.look("/metrics").await.text().to_owned();
        let (_, out, err) = replica.0.stop().await;
        let text = [out, err].concat().join("\n") + &overview + &metrics;
        for secret in ["pa55-of-the-store", "wr0ng-password", SECRET] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}
