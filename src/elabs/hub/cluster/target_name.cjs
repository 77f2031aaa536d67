// The proxy keeps the Host header of the visitor, who typed the site's name, and Node asks for TLS with the name that it finds there. The proxy of another cluster
// has a certificate of its own name, so that of the target it is. Loaded into the proxy by NODE_OPTIONS, since the proxy has no option for it.
"use strict";

const { isIP } = require("node:net");
const { Agent } = require("node:https");

const { addRequest } = Agent.prototype;

Agent.prototype.addRequest = function (request, options, ...rest) {
  const named = options.servername === undefined ? { ...options, servername: isIP(options.host) ? "" : options.host } : options;
  return addRequest.call(this, request, named, ...rest);
};
