import {
  type CreationOptional,
  DataTypes,
  type InferAttributes,
  type InferCreationAttributes,
  type Model,
  type ModelStatic,
  Sequelize,
} from 'sequelize'

interface EventRow extends Model<InferAttributes<EventRow>, InferCreationAttributes<EventRow>> {
  eventId: number
  totalTickets: number
  availableTickets: number
}

interface ClaimRow extends Model<InferAttributes<ClaimRow>, InferCreationAttributes<ClaimRow>> {
  id: CreationOptional<string>
  eventId: number
  userId: string
}

export interface Models {
  sequelize: Sequelize
  TicketedEvent: ModelStatic<EventRow>
  Booking: ModelStatic<ClaimRow>
  WaitingEntry: ModelStatic<ClaimRow>
}

/** Models of the tables in schema.sql, with a pool that keeps its connections open. */
export function createModels(databaseUrl: string, poolSize: number): Models {
  const sequelize = new Sequelize(databaseUrl, {
    logging: false,
    pool: { max: poolSize, min: poolSize, acquire: 60_000 },
    define: { underscored: true, updatedAt: false },
  })
  const TicketedEvent = sequelize.define<EventRow>(
    'TicketedEvent',
    {
      eventId: { type: DataTypes.BIGINT, primaryKey: true },
      totalTickets: { type: DataTypes.INTEGER, allowNull: false },
      availableTickets: { type: DataTypes.INTEGER, allowNull: false },
    },
    { tableName: 'events', timestamps: false },
  )
  const claim = (name: string, tableName: string) =>
    sequelize.define<ClaimRow>(
      name,
      {
        id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
        eventId: { type: DataTypes.BIGINT, allowNull: false },
        userId: { type: DataTypes.TEXT, allowNull: false },
      },
      { tableName },
    )
  return {
    sequelize,
    TicketedEvent,
    Booking: claim('Booking', 'bookings'),
    WaitingEntry: claim('WaitingEntry', 'waiting_entries'),
  }
}
