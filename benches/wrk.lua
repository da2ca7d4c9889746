-- Every key of TOKENS times FLOWS by chance, or with no FLOWS one hot key. The end is a line of JSON.
local head = "GET /beta/identity/b2xUserFlows/flow%d/apiConnectorConfiguration?$expand=postFederationSignup,postAttributeCollection HTTP/1.1\r\n"
  .. "Host: graph.microsoft.com\r\nAccept: application/json\r\nAuthorization: Bearer "
-- More than these would not fit: each is spelled when it is sent.
local most = 20000
local tokens, heads, made = {}, {}, {}

function init()
  local flows = tonumber(os.getenv("FLOWS"))
  for token in io.lines(os.getenv("TOKENS")) do
    tokens[#tokens + 1] = token .. "\r\n\r\n"
    if flows == 0 then break end
  end
  for flow = 1, math.max(1, flows) do heads[flow] = head:format(flow - 1) end
  if #tokens * #heads <= most then
    for _, token in ipairs(tokens) do
      for _, start in ipairs(heads) do made[#made + 1] = start .. token end
    end
  end
  math.randomseed(os.time())
end

function request()
  if #made > 0 then return made[math.random(#made)] end
  return heads[math.random(#heads)] .. tokens[math.random(#tokens)]
end

function done(summary)
  local e = summary.errors
  print(string.format('{"answers":%d,"wrong":%d}', summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
