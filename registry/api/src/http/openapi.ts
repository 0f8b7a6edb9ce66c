import { apiErrorSchema, badgeSchema, readySchema } from '@understudy/protocol/api'
import * as z from 'zod/mini'
import { badgeNames } from '../badge/badge.ts'
import { parameters, type Route } from './routes.ts'

type Json = Record<string, unknown>

function jsonSchema(schema: z.ZodMiniType, io: 'input' | 'output' = 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' })
  return rest
}

const json = (description: string, schema: Json) => ({
  description,
  content: { 'application/json': { schema } },
})
const problem = (description: string) => json(description, { $ref: '#/components/schemas/Error' })

/** OpenAPI 3.1 of everything that the server answers, from the schemas that it answers by. */
export function openApiOf(routes: readonly Route[], publicUrl: string): Json {
  const views = routes.map((route) => {
    const path = route.path.replace(/:(\w+)/g, '{$1}')
    const given = route.takes.map((name) => {
      const inPath = path.includes(`{${name}}`)
      return {
        name,
        in: inPath ? 'path' : 'query',
        required: inPath,
        schema: jsonSchema(parameters[name], 'input'),
      }
    })
    const get = {
      summary: route.summary,
      parameters: given,
      responses: {
        200: json('OK', jsonSchema(route.gives)),
        304: { description: 'Not changed since the ETag that was sent' },
        ...(given.length > 0
          ? { 400: problem('A parameter is malformed'), 404: problem('No such thing') }
          : {}),
        503: problem('The database or the chain cannot be reached'),
      },
    }
    return [path, { get }] as const
  })
  const app = { name: 'app', in: 'path', required: true, schema: { type: 'string' } }
  const file = { name: 'file', in: 'path', required: true }
  const badge = {
    200: {
      description: 'Always, `unknown` where nothing is known. JSON is the endpoint schema of shields.io.',
      content: {
        'image/svg+xml': { schema: { type: 'string' } },
        'application/json': { schema: jsonSchema(badgeSchema) },
      },
    },
    304: { description: 'Not changed since the ETag that was sent' },
  }
  const files = badgeNames.flatMap((name) => [`${name}.svg`, `${name}.json`])
  return {
    openapi: '3.1.0',
    info: { title: 'Understudy registry', version: '1', license: { name: 'MIT', identifier: 'MIT' } },
    servers: [{ url: publicUrl }],
    paths: {
      ...Object.fromEntries(views),
      '/badge/{app}/{file}': {
        get: {
          summary: 'A badge of an app',
          parameters: [app, { ...file, schema: { type: 'string', enum: files } }],
          responses: badge,
        },
      },
      '/badge/{app}/mirror/{file}': {
        get: {
          summary: 'A badge of one mirror: its id, then .svg or .json',
          parameters: [app, { ...file, schema: { type: 'string', pattern: '^\\d+\\.(svg|json)$' } }],
          responses: badge,
        },
      },
      '/readyz': {
        get: {
          summary: 'Whether everything that it needs is there',
          responses: {
            200: json('Ready', jsonSchema(readySchema)),
            503: json('Not ready', jsonSchema(readySchema)),
          },
        },
      },
    },
    components: { schemas: { Error: jsonSchema(apiErrorSchema) } },
  }
}
