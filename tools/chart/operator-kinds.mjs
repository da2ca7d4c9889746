// Reads objects as JSON from standard input, and validates those whose kinds are not Kubernetes' own.
// Prints what is wrong, a line each; ends with 1 when something is, or when a kind is unknown.
import { text } from "node:stream/consumers";

const models = "../../target/tools/node/node_modules/@kubernetes-models";
const load = async (name, path) => (await import(`${models}/${path}`))[name];
const kinds = {
  ServiceMonitor: await load("ServiceMonitor", "prometheus-operator/monitoring.coreos.com/v1/index.js"),
  PrometheusRule: await load("PrometheusRule", "prometheus-operator/monitoring.coreos.com/v1/index.js"),
  HTTPRoute: await load("HTTPRoute", "gateway-api/gateway.networking.k8s.io/v1/index.js"),
};
for (const object of JSON.parse(await text(process.stdin))) {
  try {
    if (!(object.kind in kinds)) throw new Error("no schema for this kind");
    new kinds[object.kind](object).validate();
  } catch (error) {
    console.log(`${object.kind} ${object.metadata?.name}: ${error.message}`);
    process.exitCode = 1;
  }
}
