// An application that rings an office: destinations of three kinds at once, and screening with a key.
//
//   node office.mjs PACKAGE HOST PORT FOLDER LABEL REALM
import { faults, host, name, peer, port, secret as realm, tell } from './common.mjs';

const express = peer('express');
const { WebhookResponse } = peer(name);
const app = express();
app.use(express.json());

const alice = { type: 'user', name: `alice@${realm}` };
const teams = { type: 'teams', number: '+14255550100' };

function on(path, callback, answer) {
  app.post(path, (req, res) => {
    tell(path, { data: req.body, faults: faults(callback, req.body) });
    res.status(200).json(answer?.(req.body) ?? []);
  });
}

on('/three', 'session-new', () => new WebhookResponse().dial({
  answerOnBridge: true,
  actionHook: '/three-done',
  dialMusic: 'music.wav',
  timeout: 30,
  target: [{ type: 'phone', number: '+12065550111', trunk: 'south' }, alice, teams],
}));
on('/three-done', 'dial');

// "Press 1 to accept", of whoever answers.
const screened = (done, target) => () => new WebhookResponse().dial({
  answerOnBridge: true,
  actionHook: done,
  confirmHook: '/ask',
  timeout: 30,
  target,
});
on('/screened', 'session-new', screened('/screened-done', [alice, teams]));
on('/screened-done', 'dial');
on('/ask', 'base', () => new WebhookResponse()
  .gather({ input: ['digits'], numDigits: 1, timeout: 30, actionHook: '/asked' })
  .hangup());
on('/asked', 'gather', ({ digits }) => {
  const response = new WebhookResponse();
  return digits === '1' ? response.pause({ length: 0.1 }) : response.hangup();
});

// A property of ours, which the package would refuse, is put beside its own.
on('/patient', 'session-new', () => {
  const [dial] = screened('/patient-done', [teams])().toJSON();
  return [{ ...dial, confirmTimeout: 1 }];
});
on('/patient-done', 'dial', () => new WebhookResponse().sip_decline({ status: 480, reason: 'Nobody accepted' }));

app.post('/status', (req, res) => {
  tell('/status', { data: req.body, faults: faults('call-status', req.body) });
  res.sendStatus(200);
});
app.listen(Number(port), host, () => tell('listening'));
