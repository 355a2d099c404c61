-- The requests of wrk: one create for each profile of a file that has one JSON object a line. Each thread takes every n-th profile, so
-- that no key is sent twice; when the file is at its end, the keys get a suffix.
local thread_number = 0

function setup(thread)
  thread:set("number", thread_number)
  thread_number = thread_number + 1
end

function init(args)
  local path, threads, authorization, api_key = args[1], tonumber(args[2]), args[3], args[4]
  bodies = {}
  local line_number = 0
  for line in io.lines(path) do
    if line_number % threads == number then
      bodies[#bodies + 1] = line
    end
    line_number = line_number + 1
  end
  position = 0
  lap = 0
  wrk.headers["Authorization"] = authorization
  wrk.headers["X-Api-Key"] = api_key
  wrk.headers["Cache-Control"] = "no-cache"
  wrk.headers["Content-Type"] = "application/json;charset=utf-8"
end

function request()
  position = position + 1
  if position > #bodies then
    position = 1
    lap = lap + 1
  end
  local body = bodies[position]
  if lap > 0 then
    body = body:gsub('"externalId":"', '"externalId":"' .. lap .. "-", 1)
  end
  return wrk.format("POST", nil, nil, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("counted %d %d %d %d\n", summary.requests, summary.duration, errors.status, lost))
end
