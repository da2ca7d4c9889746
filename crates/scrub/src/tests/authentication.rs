//! Authentication configurations and their certificates.

use super::*;

#[test]
fn an_authentication_configuration_keeps_only_what_is_known_to_be_public() {
    let auth = |members: &str| format!("{{\"authenticationConfiguration\":{members}}}");
    let mask = "\"******\"";
    let graph_type = |length| format!("{{\"@odata.type\":\"microsoft.graph.{}\"}}", "x".repeat(length));
    for (members, expected) in [
        ("null", "null"),
        ("\"x\"", mask),
        ("7", mask),
        ("{}", "{}"),
        ("[ null , {\"a\":1}, [{\"a\":true}], 3]", r#"[null,{"a":"******"},[{"a":true}],"******"]"#),
        (
            r##"{"@odata.type":"#microsoft.graph.pkcs12Certificate"}"##,
            r##"{"@odata.type":"#microsoft.graph.pkcs12Certificate"}"##,
        ),
        (r#"{"@odata.type":"Microsoft.Graph.x"}"#, r#"{"@odata.type":"Microsoft.Graph.x"}"#),
        (
            r#"{"@odata.type":"\u0023microsoft.graph.\u0078"}"#,
            r#"{"@odata.type":"\u0023microsoft.graph.\u0078"}"#,
        ),
        (r#"{"@odata.type":"microsoft.graph.\u0020"}"#, r#"{"@odata.type":"******"}"#),
        ("{\"@odata.type\":\"microsoft.graph\u{e9}x\"}", r#"{"@odata.type":"******"}"#),
        (r#"{"@odata.type":"microsoft.grapx.x"}"#, r#"{"@odata.type":"******"}"#),
        (r#"{"@odata.type":"microsoft"}"#, r#"{"@odata.type":"******"}"#),
        (&graph_type(128), &graph_type(128)),
        (&graph_type(129), r#"{"@odata.type":"******"}"#),
        ("{\"@odata.type\":\"##microsoft.graph.x\"}", r#"{"@odata.type":"******"}"#),
        (r##"{"@odata.type":"#microsoft.graph.x y"}"##, r#"{"@odata.type":"******"}"#),
        (r##"{"@odata.type":"#microsoft.graph."}"##, r#"{"@odata.type":"******"}"#),
        (r#"{"@odata.type":null}"#, r#"{"@odata.type":null}"#),
        (r##"{"@odata.type":7,"@type":"#x"}"##, r#"{"@odata.type":"******","@type":"******"}"#),
        (r#"{"odata.type":"microsoft.graph.x"}"#, r#"{"odata.type":"******"}"#),
        (
            r#"{"username":"x","password":"y","z":{"w":1,"id":"x","username":"x","v":["x",{"thumbprint":"0E"}]}}"#,
            r#"{"username":"******","password":"******","z":{"w":"******","id":"******","username":"******","v":["******",{"thumbprint":"******"}]}}"#,
        ),
        (
            r#"{"username":7,"user@x":1,"targetUrl":"https://h/","id":"x","displayName":"x"}"#,
            r#"{"username":"******","user@x":"******","targetUrl":"******","id":"******","displayName":"******"}"#,
        ),
        (
            r#"{"authenticationConfiguration":{"id":1},"pin":1234}"#,
            r#"{"authenticationConfiguration":"******","pin":"******"}"#,
        ),
        (r#"{"isActive":true,"thumbprint":"0E"}"#, r#"{"isActive":true,"thumbprint":"******"}"#),
    ] {
        check(&[(&auth(members), &auth(expected))]);
    }
}

#[test]
fn several_authentication_configurations_are_treated_as_one() {
    check(&[
        (
            r#"{"authenticationConfigurations":[{"username":"x","password":"y","z":"1"}]}"#,
            r#"{"authenticationConfigurations":[{"username":"******","password":"******","z":"******"}]}"#,
        ),
        (r#"{"authenticationConfigurations":"x"}"#, r#"{"authenticationConfigurations":"******"}"#),
    ]);
}

#[test]
fn a_certificate_list_keeps_only_what_is_known_to_be_public() {
    let list = |value: &str| format!("{{\"authenticationConfiguration\":{{\"certificateList\":{value}}}}}");
    for (value, expected) in [
        ("null", "null"),
        ("\"x\"", "\"******\""),
        ("{\"thumbprint\":\"x\"}", "{\"thumbprint\":\"******\"}"),
        ("[]", "[]"),
        ("[ null, 1, [{}], \"x\" ]", r#"[null,"******",[{}],"******"]"#),
        (
            r#"[{"thumbprint":"0EB2","notAfter":1666350522,"notBefore":"1508670522","isActive":true}]"#,
            r#"[{"thumbprint":"0EB2","notAfter":1666350522,"notBefore":"1508670522","isActive":true}]"#,
        ),
        (
            r#"[{"thumbprint":null,"notAfter":null,"notBefore":null,"isActive":null}]"#,
            r#"[{"thumbprint":null,"notAfter":null,"notBefore":null,"isActive":null}]"#,
        ),
        (r#"[{"notAfter":-1,"notBefore":"-1"}]"#, r#"[{"notAfter":-1,"notBefore":"-1"}]"#),
        (
            r#"[{"notAfter":"7","notBefore":"1234567890123456789"}]"#,
            r#"[{"notAfter":"7","notBefore":"1234567890123456789"}]"#,
        ),
        (r#"[{"thumbprint":1,"isActive":"true"}]"#, r#"[{"thumbprint":"******","isActive":"******"}]"#),
        (
            r#"[{"isActive":83920184,"code":83920184,"data":[72,117],"x":{"y":1.5}}]"#,
            r#"[{"isActive":"******","code":"******","data":["******","******"],"x":{"y":"******"}}]"#,
        ),
        (r#"[{"thumbprint":"hunter2"}]"#, r#"[{"thumbprint":"******"}]"#),
        (
            r#"[{"thumbprint":{"id":"y","z":["0E",1]}}]"#,
            r#"[{"thumbprint":{"id":"******","z":["******","******"]}}]"#,
        ),
        (r#"[{"notAfter":"1x","notBefore":""}]"#, r#"[{"notAfter":"******","notBefore":""}]"#),
        (
            r#"[{"notAfter":true,"notBefore":[1,"1"]}]"#,
            r#"[{"notAfter":true,"notBefore":["******","******"]}]"#,
        ),
        (r#"[{"notAfter":"12345678901234567890"}]"#, r#"[{"notAfter":"******"}]"#),
        (r#"[{"subject":"x","privateKey":1}]"#, r#"[{"subject":"******","privateKey":"******"}]"#),
    ] {
        check(&[(&list(value), &list(expected))]);
    }
}
