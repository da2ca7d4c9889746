use super::*;

fn select(variables: &[(&str, &str)], base_url: &str) -> Result<Option<ForwardProxy>, ProxyVariableError> {
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ForwardProxy::from_variables(&variables, &Url::parse(base_url).unwrap())
}

const GRAPH: &str = "https://graph.microsoft.com";

fn exempts(no_proxy: &str, base_url: &str) -> bool {
    select(&[("HTTPS_PROXY", "http://proxy:1"), ("NO_PROXY", no_proxy)], base_url).unwrap().is_none()
}

#[test]
fn d2_the_first_variable_with_a_value_wins() {
    let order = [("all_proxy", "d"), ("ALL_PROXY", "c"), ("https_proxy", "b"), ("HTTPS_PROXY", "a")];
    for count in 1..=4 {
        let proxy = select(&order[..count], GRAPH).unwrap().unwrap();
        assert_eq!(
            (proxy.variable, proxy.host.to_string()),
            (order[count - 1].0, order[count - 1].1.to_owned())
        );
    }
    assert_eq!(select(&[("HTTPS_PROXY", ""), ("HTTP_PROXY", "http://proxy")], GRAPH), Ok(None));
}

#[test]
fn d2_accepted_values() {
    for (value, host, port) in [
        ("http://proxy:3128", "proxy", 3128),
        ("HTTP://proxy:3128/", "proxy", 3128),
        ("proxy:3128", "proxy", 3128),
        ("http://proxy", "proxy", 80),
        ("http://user:p%40ss@[fd00::1]:8080", "[fd00::1]", 8080),
        ("192.0.2.1:8080", "192.0.2.1", 8080),
    ] {
        let proxy = select(&[("HTTPS_PROXY", value)], GRAPH).unwrap().unwrap();
        assert_eq!((proxy.host.to_string().as_str(), proxy.port), (host, port), "{value}");
    }
    let proxy = select(&[("HTTPS_PROXY", "http://user:p%40ss@proxy:1")], GRAPH).unwrap().unwrap();
    assert_eq!(proxy.authorization.as_ref().unwrap(), "Basic dXNlcjpwQHNz");
    assert!(!format!("{proxy:?}").contains("dXNl"));
}

#[test]
fn d2_refused_values_are_described_without_the_password() {
    for (value, found) in [
        ("http://user:hunter2 @host:1", "a blank, line break or control character as character 20"),
        ("http://host:1\n", "a blank, line break or control character as character 14"),
        ("\"http://host:1\"", "quotes around the value"),
        ("htp://user:hunter2@host:1", "the scheme \"htp\""),
        ("user:hunter2://host", "no URL"),
        ("http://user:hun/ter2@host:1", "a reserved character that is not percent-encoded"),
        ("http://user:hun@ter2@host:1", "a reserved character that is not percent-encoded"),
        ("http://user:hunter2", "a port that is no number from 1 to 65535"),
        ("http://host:", "a port that is no number from 1 to 65535"),
        ("http://host:+1", "a port that is no number from 1 to 65535"),
        ("http://host:65536", "a port that is no number from 1 to 65535"),
        ("http://user:hunter2@:1", "no valid host"),
        ("http://fd00::1:8080", "no valid host"),
        ("http://h\u{fffd}st:1", "no valid host"),
        ("/", "no valid host"),
        ("socks5h://user:hunter2@host:1", "a proxy with the scheme \"socks5h\", which is not supported"),
    ] {
        let error = select(&[("HTTPS_PROXY", value)], GRAPH).unwrap_err();
        assert_eq!((error.variable, error.found.as_str()), ("HTTPS_PROXY", found), "{value}");
        assert!(!error.to_string().contains("hun"), "{error}");
    }
}

#[test]
fn d2_an_unsupported_proxy_is_accepted_where_no_proxy_exempts_graph_and_an_unreadable_one_is_not() {
    let exempt = ("NO_PROXY", "microsoft.com");
    assert_eq!(select(&[("ALL_PROXY", "socks5://host:1"), exempt], GRAPH), Ok(None));
    select(&[("ALL_PROXY", "htp://host:1"), exempt], GRAPH).unwrap_err();
    select(&[("ALL_PROXY", "htp://host:1")], "http://127.0.0.1:1").unwrap_err();
    assert_eq!(select(&[("ALL_PROXY", "http://host:1")], "http://127.0.0.1:1"), Ok(None));
}

#[test]
fn d3_names_with_and_without_a_port() {
    for entry in [
        "*",
        "graph.microsoft.com",
        "graph.microsoft.com:443",
        "Graph.Microsoft.COM.",
        "graph.microsoft.com.:443",
        "microsoft.com",
        ".microsoft.com:443",
        "*.microsoft.com",
        "*.microsoft.com:443",
        "*:443",
        "a.example,,graph.microsoft.com:443",
        "a.example graph.microsoft.com",
        " graph.microsoft.com:443\t,",
    ] {
        assert!(exempts(entry, GRAPH), "{entry}");
        assert!(exempts(entry, "https://graph.microsoft.com:443"), "{entry}");
    }
    for entry in [
        "",
        ",",
        ".",
        "graph.microsoft.com:80",
        "graph.microsoft.com:",
        "graph.microsoft.com:4430",
        "raph.microsoft.com",
        "a.graph.microsoft.com",
        "*.com.example",
        "192.0.2.1",
        "0.0.0.0/0",
        "https://graph.microsoft.com",
    ] {
        assert!(!exempts(entry, GRAPH), "{entry}");
    }
    assert!(exempts("graph.microsoft.com", "https://graph.microsoft.com.:8443"), "the host ends with a dot");
}

#[test]
fn d3_addresses_and_ranges_with_and_without_a_port() {
    let (four, six) = ("https://192.0.2.129:8443", "https://[2001:db8::5]:8443");
    for entry in ["192.0.2.129", "192.0.2.129:8443", "192.0.2.128/25", "192.0.2.0/24:8443", "0.0.0.0/0", "*"]
    {
        assert!(exempts(entry, four), "{entry}");
        assert_eq!(exempts(entry, six), entry == "*", "{entry}");
    }
    for entry in
        ["2001:db8::5", "[2001:DB8::5]", "[2001:db8::5]:8443", "2001:db8::/32", "[2001:db8::]/32", "::/0"]
    {
        assert_eq!(exempts(entry, six), entry != "[2001:db8::]/32", "{entry}");
        assert!(!exempts(entry, four), "{entry}");
    }
    for entry in ["192.0.2.129:443", "192.0.2.0/25", "192.0.2.129/33", "192.0.2.129/", "[2001:db8::5]:443"] {
        assert!(!exempts(entry, four) && !exempts(entry, six), "{entry}");
    }
    assert!(exempts("192.0.2.129", "https://[::ffff:192.0.2.129]"));
}
