// What both applications share: the vendor's packages, one JSON line for each thing that happened, and the vendor's own
// description of what an application may be sent.
import { createRequire } from 'node:module';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';

export const [name, host, port, folder, label, secret, api, token] = process.argv.slice(2);

// The packages stand apart from this file.
export const peer = createRequire(path.join(folder, 'package.json'));

// Every call has phones of its own, each behind a trunk.
export const desk = (call) => ({ type: 'phone', number: '+12065550111', trunk: `${label}-${call}-desk` });
export const mobile = (call) => ({ type: 'phone', number: '+12065550112', trunk: `${label}-${call}-mobile` });

export function tell(event, fields = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

const Ajv = peer('ajv/dist/2020').default;
const ajv = new Ajv({ strict: false, allErrors: true, logger: false });
const schemas = path.dirname(peer.resolve('@jambonz/schema'));
for (const file of readdirSync(path.join(schemas, 'callbacks'))) {
  ajv.addSchema(JSON.parse(readFileSync(path.join(schemas, 'callbacks', file), 'utf8')));
}

// What is wrong with the properties of a request, by the vendor's schema of that callback: nothing, or sentences.
export function faults(callback, data) {
  const check = ajv.getSchema(`https://jambonz.org/schema/callbacks/${callback}`);
  return check(data) ? [] : check.errors.map((error) => `${callback}${error.instancePath}: ${error.message}`);
}
