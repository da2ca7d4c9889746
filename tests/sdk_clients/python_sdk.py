"""Graph's SDK for Python before the cache, used as a service would use it.

tests/sdk_clients/main.rs runs it and holds the other end of stdin and stdout: a line of JSON out is an order to
the stand-in for Graph, a line in is the answer. Each story is told over plain loopback and over TLS, where
the SDK speaks HTTP/2. What fails goes to stderr.
"""

import asyncio
import json
import os
import sys
import time
import traceback

from azure.core.credentials import AccessToken
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_http.middleware.options import HeadersInspectionHandlerOption
from msgraph_beta import GraphServiceClient
from msgraph_beta.generated.identity.b2x_user_flows.item.api_connector_configuration.api_connector_configuration_request_builder import (
    ApiConnectorConfigurationRequestBuilder,
)
from msgraph_beta.generated.models.basic_authentication import BasicAuthentication
from msgraph_beta.generated.models.client_certificate_authentication import ClientCertificateAuthentication
from msgraph_beta.generated.models.identity_api_connector import IdentityApiConnector
from msgraph_beta.generated.models.o_data_errors.o_data_error import ODataError

SIGN_UP, PARTNERS, INVITATIONS, BARE = "B2X_1_signup", "B2X_1_partners", "B2X_1_invitations", "B2X_1_bare"
BOTH = ["postFederationSignup", "postAttributeCollection"]
MASK = "******"


def order(what, **more):
    print(json.dumps({"do": what, **more}), flush=True)
    return json.loads(sys.stdin.readline())


class Credential:
    """A credential as in azure-identity: returns its token, and a new one when Graph sends a claims challenge."""

    def __init__(self, user):
        self.user = user
        self.token = order("token", user=user)["token"]
        self.demanded = []

    def get_token(self, *scopes, claims=None, **_):
        if claims:
            self.demanded.append(json.loads(claims))
            self.token = order("token", user=self.user)["token"]
        return AccessToken(self.token, int(time.time()) + 3600)


class Service:
    """The client of one user, and its last response."""

    def __init__(self, base, user):
        self.credential = Credential(user)
        self.client = GraphServiceClient(self.credential, scopes=["https://graph.microsoft.com/.default"])
        self.client.request_adapter.base_url = base
        self.seen, self.protocol, self.coding = None, None, None
        hooks = self.client.request_adapter._http_client.event_hooks
        self.client.request_adapter._http_client.event_hooks = {**hooks, "response": [self.see]}

    async def see(self, response):
        self.protocol = response.http_version
        self.coding = response.headers.get("content-encoding")

    async def read(self, flow, expand=BOTH, headers=()):
        query = ApiConnectorConfigurationRequestBuilder.ApiConnectorConfigurationRequestBuilderGetQueryParameters(
            expand=expand
        )
        self.seen = HeadersInspectionHandlerOption()
        wish = RequestConfiguration(query_parameters=query, options=[self.seen])
        for name, value in headers:
            wish.headers.add(name, value)
        flows = self.client.identity.b2x_user_flows
        return await flows.by_b2x_identity_user_flow_id(flow).api_connector_configuration.get(wish)

    async def refused(self, *arguments, **more):
        try:
            answer = await self.read(*arguments, **more)
        except ODataError as error:
            return error
        raise AssertionError(f"an answer instead of an error: {answer}")

    def header(self, name):
        return ", ".join(self.seen.response_headers.get(name) or [])

    @property
    def said(self):
        return self.header("cache-status")


def expect(what, is_, wanted):
    assert is_ == wanted, f"{what}: {is_!r} instead of {wanted!r}"


def holds(what, text, part):
    assert part in text, f"{what}: no {part!r} in {text!r}"


async def the_first_read_is_a_miss_and_the_second_a_hit(service, protocol):
    before = order("calls")["calls"]
    for said in ["fwd=uri-miss; fwd-status=200; stored", "hit; ttl="]:
        answer = await service.read(SIGN_UP)
        holds("Cache-Status", service.said, f"connector-cache; {said}")
        expect("the protocol", service.protocol, protocol)
        expect("the coding", service.coding, "gzip")
        expect("the connector", answer.post_federation_signup.display_name, "Fraud check")
    expect("requests that reached Graph", order("calls")["calls"] - before, 1)


async def both_connectors_become_the_sdks_own_types(service, _):
    answer = await service.read(SIGN_UP)
    for connector in [answer.post_federation_signup, answer.post_attribute_collection]:
        expect("the connector's type", type(connector), IdentityApiConnector)
        credential = connector.authentication_configuration
        expect("the credential's type", type(credential), BasicAuthentication)
        expect("the password", credential.password, MASK)
        expect("the user name", credential.username, MASK)
    holds("the target", answer.post_attribute_collection.target_url, ".azurewebsites.net/api/enrich?code=")
    for secret in order("secrets")["secrets"]:
        assert secret not in repr(answer), "a planted credential came out"


async def certificates_and_steps_without_a_connector_are_read(service, _):
    answer = await service.read(PARTNERS)
    credential = answer.post_federation_signup.authentication_configuration
    expect("the credential's type", type(credential), ClientCertificateAuthentication)
    expect("active", [it.is_active for it in credential.certificate_list], [True, True])
    answer = await service.read(BARE)
    expect("a step without a connector", answer.post_federation_signup, None)


async def a_nested_select_is_another_answer(service, _):
    narrow = ["postFederationSignup($select=id,displayName)"]
    answer = await service.read(SIGN_UP, expand=narrow)
    expect("the name", answer.post_federation_signup.display_name, "Fraud check")
    expect("the target", answer.post_federation_signup.target_url, None)
    await service.read(SIGN_UP)
    holds("the whole answer", service.said, "fwd=uri-miss")
    await service.read(SIGN_UP, expand=narrow)
    holds("the narrow answer", service.said, "hit")


async def a_claims_challenge_is_met_with_a_new_token(service, _):
    await service.read(SIGN_UP)
    order("revoke", token=service.credential.token)
    answer = await service.read(INVITATIONS)
    expect("the connector", answer.post_federation_signup.display_name, "Invitation check")
    expect("challenges", len(service.credential.demanded), 1)
    holds("the claims", service.credential.demanded[0]["access_token"], "nbf")
    await service.read(SIGN_UP)
    holds("what the old token had filled", service.said, "fwd=uri-miss")


async def a_flow_that_is_not_there_is_an_odata_error(service, _):
    for _ in range(2):
        error = await service.refused("B2X_1_nowhere")
        expect("the status", error.response_status_code, 404)
        expect("the code", error.error.code, "ResourceNotFound")


async def a_refusal_of_the_caches_own_is_an_odata_error(service, _):
    before = order("calls")["calls"]
    error = await service.refused(SIGN_UP, expand=["nonsense"])
    expect("the status", error.response_status_code, 400)
    expect("the code", error.error.code, "BadRequest")
    expect("the id", error.error.inner_error.request_id, service.header("request-id"))
    inner = error.error.inner_error.additional_data
    expect("source and reason", (inner["source"], inner["reason"]), ("connector-cache", "query"))
    assert error.error.message.startswith("connector-cache: "), error.error.message
    order("show", client="Python SDK, str(error)", text=str(error))
    expect("requests that reached Graph", order("calls")["calls"] - before, 0)


async def a_429_is_retried_after_the_time_it_says(service, _):
    before, start = order("calls")["calls"], time.monotonic()
    order("fail", count=1, status=429, wait=1)
    answer = await service.read(SIGN_UP)
    expect("the connector", answer.post_federation_signup.display_name, "Fraud check")
    expect("requests that reached Graph", order("calls")["calls"] - before, 2)
    waited = time.monotonic() - start
    assert waited >= 1, f"it came back after {waited:.2f} s"


async def a_known_etag_saves_the_body(service, _):
    await service.read(SIGN_UP)
    answer = await service.read(SIGN_UP, headers=[("If-None-Match", service.header("etag"))])
    expect("the answer", answer, None)
    holds("Cache-Status", service.said, "hit")


async def a_base_url_with_a_slash_at_its_end_works(service, _):
    service.client.request_adapter.base_url += "/"
    answer = await service.read(SIGN_UP)
    expect("the connector", answer.post_federation_signup.display_name, "Fraud check")


async def main():
    stories = [it for name, it in globals().items() if asyncio.iscoroutinefunction(it) and name != "main"]
    failed = 0
    for base, protocol in [(os.environ["PLAIN_URL"], "HTTP/1.1"), (os.environ["TLS_URL"], "HTTP/2")]:
        for story in stories:
            try:
                # Each scenario has its own user, and so its own cache entries.
                await story(Service(f"{base}/beta", f"{story.__name__} {protocol}"), protocol)
            except Exception:
                failed += 1
                print(f"\n{story.__name__} over {base}", file=sys.stderr)
                traceback.print_exc()
    return 1 if failed else 0


sys.exit(asyncio.run(main()))
