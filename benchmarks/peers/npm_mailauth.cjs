// npm mailauth, asked as benchmarks/peers/__init__.py says. The folder that it was installed in is the argument.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');

const { authenticate, dkimSign, dkimVerify, dmarc, spf } = require(
    path.join(process.argv[2], 'node_modules', 'mailauth')
);

// The code is compiled while it runs: what is measured is what a busy server runs. The first work of a kind compiles the
// code that the next has in common with it: it took a second until the times fell no more.
const WARM_UP_MS = { first: 1000, next: 100 };
const warm = new Set();

// The shape that dns.promises.resolve gives: TXT in strings of 255 octets, MX as objects.
function shaped(type, value) {
    if (type === 'TXT') return value.match(/[^]{1,255}/g) || [''];
    if (type === 'MX') return { priority: Number(value.split(' ')[0]), exchange: value.split(' ')[1] };
    return value;
}

function resolverOf(records) {
    const answers = new Map();
    for (const record of records || []) {
        const [, name, type, value] = record.match(/^(\S+) (\S+) ([^]*)$/);
        const key = `${name}/${type}`;
        answers.set(key, [...(answers.get(key) || []), shaped(type, value)]);
    }
    return async (name, type) => {
        const found = answers.get(`${name.toLowerCase()}/${type}`);
        if (found) return found;
        throw Object.assign(new Error(`query${type} ENOTFOUND ${name}`), { code: 'ENOTFOUND' });
    };
}

function callOf(request) {
    const resolver = resolverOf(request.zone);
    const message = request.message && fs.readFileSync(request.message);
    const privateKey = request.pem && fs.readFileSync(request.pem);
    const envelope = { ip: request.ip, helo: request.helo, sender: request.mail_from, mta: request.hostname, resolver };
    const cases = {
        'dkim-verify': async () => (await dkimVerify(message, { resolver })).results.map(each => each.status.result),
        'dkim-sign': async () => {
            const signed = await dkimSign(message, {
                canonicalization: request.canonicalization,
                algorithm: request.algorithm,
                signatureData: [{ signingDomain: request.domain, selector: request.selector, privateKey }]
            });
            return signed.signatures;
        },
        spf: async () => (await spf(envelope)).status.result,
        dmarc: async () => {
            const found = await dmarc({
                headerFrom: request.author,
                spfDomains: [request.spf_domain],
                dkimDomains: [{ id: request.dkim_domain, domain: request.dkim_domain }],
                resolver
            });
            return [found.status.result, found.policy || null];
        },
        whole: async () => {
            const found = await authenticate(message, { ...envelope, disableBimi: true });
            const dkim = found.dkim.results.map(each => each.status.result);
            return { spf: found.spf.status.result, dkim, dmarc: found.dmarc.status.result };
        }
    };
    return cases[request.case];
}

const calls = new Map();

async function answer(request) {
    if ('prepare' in request) {
        const call = callOf(request);
        calls.set(request.prepare, call);
        const result = await call();
        const time = warm.has(request.case) ? WARM_UP_MS.next : WARM_UP_MS.first;
        warm.add(request.case);
        for (const end = Date.now() + time; Date.now() < end; ) await call();
        return { result };
    }
    const call = calls.get(request.time);
    const start = process.hrtime.bigint();
    for (let left = request.loops; left > 0; left--) await call();
    return { seconds: Number(process.hrtime.bigint() - start) / 1e9 };
}

async function main() {
    for await (const line of readline.createInterface({ input: process.stdin })) {
        console.log(JSON.stringify(await answer(JSON.parse(line)).catch(error => ({ error: String(error) }))));
    }
}

main();
