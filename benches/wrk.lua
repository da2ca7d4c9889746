-- One hot key, or every key by chance. The end is a line of JSON.
local target = "/beta/identity/b2xUserFlows/flow%d/apiConnectorConfiguration?$expand=postFederationSignup,postAttributeCollection"
local requests = {}

local function add(token, flow)
  local fields = { Host = "graph.microsoft.com", Accept = "application/json", Authorization = "Bearer " .. token }
  requests[#requests + 1] = wrk.format("GET", target:format(flow), fields)
end

function init()
  local hot = os.getenv("SCENARIO") == "hot"
  for token in io.lines(os.getenv("TOKENS")) do
    for flow = 0, hot and 0 or os.getenv("FLOWS") - 1 do add(token, flow) end
    if hot then break end
  end
  math.randomseed(os.time())
end

function request()
  return requests[math.random(#requests)]
end

function done(summary)
  local e = summary.errors
  print(string.format('{"answers":%d,"wrong":%d}', summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
